"""The command `config`: the settings in force, and where each value comes from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import click
import msgspec

from autoscaler_app import settings as settings_module
from autoscaler_app.celery import CONFIG_MODULE, INDISPENSABLE, set_by_user
from autoscaler_app.cli.opening import as_json, say, speaks
from scalelib import config as config_module

if TYPE_CHECKING:
    from autoscaler_app.settings import Settings

OF_CELERY = ("broker_url", "result_backend", "broker_transport_options", "beat_scheduler", "timezone")
"""Settings of the control side's own Celery app that somebody may have set, and that matter here."""

FROM_ENVIRONMENT = {"broker_url": "CELERY_BROKER_URL", "result_backend": "CELERY_RESULT_BACKEND"}
HIDDEN = "***"


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One value that is in force."""

    key: str
    value: Any
    """Passwords are three stars."""
    origin: str
    """`default`, `fixed` (passes cannot do without it), `$VARIABLE`, or a file and its line; of a section
    that another program put into the file, that it is left alone.
    """


@click.command()
@click.option("--json", "json_", is_flag=True, help="One JSON document instead of text.")
@click.pass_context
@speaks
def config(ctx: click.Context, json_: bool) -> None:
    """The settings in force, without secrets, and where each value comes from. Connects to nothing."""
    found = in_force(ctx.obj.app)
    say(as_json(found) if json_ else text(found))


def in_force(app: Any) -> list[Setting]:
    """All of them. Raises InvalidConfig where one is wrong."""
    settings = settings_module.load()
    return [*_of_the_file(settings), *_of_celery(app)]


def _of_the_file(settings: Settings) -> Iterator[Setting]:
    places = config_module.places(settings_module.named())
    for key, value in settings.public_config.items():
        if key != "autoscaler":
            yield Setting(key=key, value=value, origin=places[key])
    if (origin := _password(settings, places)) is not None:
        yield Setting(key="password", value=HIDDEN, origin=origin)
    ours = settings.config.get("autoscaler") or {}
    for key, value in msgspec.structs.asdict(settings.autoscaler).items():
        origin = places["autoscaler"] if key in ours else "default"
        yield Setting(key=f"autoscaler.{key}", value=value, origin=origin)
    for key in config_module.others(settings_module.named()):
        yield Setting(key=key, value=HIDDEN, origin=f"{places[key]}: none of ours, left alone")


def _password(settings: Settings, places: dict[str, str]) -> str | None:
    if config_module.PASSWORD_VARIABLE in os.environ:
        return f"${config_module.PASSWORD_VARIABLE}"
    return next((places[key] for key in ("password_file", "password") if key in settings.config), None)


def _of_celery(app: Any) -> Iterator[Setting]:
    for key in OF_CELERY:
        yield Setting(key=key, value=_shown(getattr(app.conf, key)), origin=_origin(key))
    for key in sorted(INDISPENSABLE.keys() - set(OF_CELERY)):
        yield Setting(key=key, value=_shown(getattr(app.conf, key)), origin="fixed")


def _origin(key: str) -> str:
    if (variable := FROM_ENVIRONMENT.get(key)) and os.environ.get(variable):
        return f"${variable}"
    return f"{CONFIG_MODULE}.py" if set_by_user(key) else "default"


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return ";".join(without_password(url) for url in value.split(";"))
    if isinstance(value, list | tuple):
        return [_shown(each) for each in value]
    if isinstance(value, dict):
        return {str(key): HIDDEN if "password" in str(key) else _shown(each) for key, each in value.items()}
    return value if isinstance(value, bool | int | float | None) else str(value)


def without_password(url: str) -> str:
    """The URL with three stars for its password; what is no URL as it is."""
    parts = urlsplit(url)
    if not parts.password:
        return url
    before, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{before.partition(':')[0]}:{HIDDEN}@{host}"))


def text(found: list[Setting]) -> str:
    """The same for people."""
    width = max(len(each.key) for each in found)
    return "\n".join(f"{each.key:{width}}  {_short(each.value)}  ({each.origin})" for each in found)


def _short(value: Any) -> str:
    return msgspec.json.encode(value).decode()
