"""The command `support`: one file for a report of a fault, without secrets."""

from __future__ import annotations

import os
import platform
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import click
import msgspec

from autoscaler_app import settings as settings_module
from autoscaler_app.cli.opening import as_json, opened, say, speaks
from autoscaler_app.cli.setup.in_force import HIDDEN
from scalelib.errors import InvalidConfig, InvalidInput
from scalelib.privatefile import OWNER_ONLY

PACKAGES = (
    "celery-cluster-autoscaler",
    "celery",
    "kombu",
    "redis",
    "amqp",
    "httpx",
    "msgspec",
    "highspy",
    "django",
)
REPORTS = 50
"""Of the last passes."""
URLS = ("broker_url", "result_backend", "broker_read_url", "broker_write_url")
VARIABLES = ("PASSWORD", "SECRET", "TOKEN", "_URL", "_BACKEND", "_DATABASE")
"""Environment variables with such a name may hold a secret."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.pass_context
@speaks
def support(ctx: click.Context, file: Path) -> None:
    """Write a .zip FILE for a report of a fault: what passes saw, decided and did, settings, versions.

    Passwords are not in it; names of hosts, queues, tasks and the cluster are. Read it before you send it.
    """
    secrets = secrets_of(ctx.obj.app)
    try:
        with (
            open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "wb") as out,
            zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive,
        ):
            for name, tell in _parts(ctx).items():
                archive.writestr(f"{name}.json", as_json(without(secrets, _told(tell))))
    except FileExistsError as error:
        raise InvalidInput(f"{file} is there already: name another file") from error
    except OSError as error:
        raise InvalidInput(f"{file}: cannot be written: {error.strerror}") from error
    say(f"{file}: {', '.join(_parts(ctx))}; without passwords, but with the names of hosts, queues and tasks")


def _parts(ctx: click.Context) -> Mapping[str, Callable[[], Any]]:
    """What goes in, each told by itself: one that cannot be had says so, and the others are there."""
    return {
        "versions": versions,
        "settings": lambda: _settings(ctx.obj.app),
        "reports": _reports,
        "status": _status,
        "doctor": lambda: _doctor(ctx),
        "snapshot": lambda: _snapshot(ctx),
    }


def _told(tell: Callable[[], Any]) -> Any:
    try:
        return tell()
    except Exception as error:  # noqa: BLE001 - what is broken is what a report is about
        return {"could_not_be_told": f"{type(error).__name__}: {error}"}


def versions() -> dict[str, str]:
    """Of Python, of this machine's system, and of what is installed."""
    found = {"python": sys.version, "system": platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _settings(app: Any) -> Any:
    from autoscaler_app.cli.setup.in_force import in_force

    return in_force(app)


def _reports() -> Any:
    from autoscaler_app.passes.journal import Journal

    with closing(Journal.look()) as journal:
        return journal.reports(REPORTS)


def _status() -> Any:
    from autoscaler_app.cli import process, show
    from autoscaler_app.passes.journal import Journal

    with closing(Journal.look()) as journal:
        return show.status_of(journal) | {"control_worker": process.facts(process.look())}


def _doctor(ctx: click.Context) -> Any:
    from autoscaler_app.cli.doctor import examine
    from autoscaler_app.schedule import interval_of

    with opened(ctx) as control:
        return examine(control, interval_of(ctx.obj.app.conf.beat_schedule))


def _snapshot(ctx: click.Context) -> Any:
    """What a pass would be made from, for `replay`."""
    from autoscaler_app.passes.one_pass import dry_run

    with opened(ctx) as control:
        return dry_run(control)[0].snapshot


def secrets_of(app: Any) -> frozenset[str]:
    """All that is not to leave this machine: passwords of the settings, of URLs, of the environment."""
    found = {value for name, value in os.environ.items() if "PASSWORD" in name or "SECRET" in name}
    urls = [value for name, value in os.environ.items() if any(word in name for word in VARIABLES)]
    for key in URLS:
        value = app.conf.get(key)
        urls += value if isinstance(value, list | tuple) else str(value or "").split(";")
    for url in urls:
        found |= set(_passwords_in(url))
    with suppress(InvalidConfig):  # settings that cannot be read are told as such, and hold nothing then
        found.add(str(settings_module.load().config.get("password") or ""))
    return frozenset(secret for secret in found if secret)


def _passwords_in(url: str) -> Iterator[str]:
    try:
        password = urlsplit(url).password
    except ValueError:
        return
    if password:
        yield from {password, unquote(password)}


def without(secrets: frozenset[str], value: Any) -> Any:
    """The same as plain JSON values, with three stars wherever one of the secrets stands."""
    return _scrubbed(sorted(secrets, key=len, reverse=True), msgspec.to_builtins(value, str_keys=True))


def _scrubbed(secrets: list[str], value: Any) -> Any:
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, HIDDEN)
        return value
    if isinstance(value, Mapping):
        return {_scrubbed(secrets, key): _scrubbed(secrets, each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_scrubbed(secrets, each) for each in value]
    return value
