"""The command `init`: write `autoscale.json`, and try whether the cloud and the broker answer."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from autoscaler_app import settings as settings_module
from autoscaler_app.brokers import BrokerError
from autoscaler_app.cli.opening import say, speaks
from autoscaler_app.cli.show import plural
from scalelib.config import PASSWORD_VARIABLE
from scalelib.errors import InvalidInput, ScalelibError
from scalelib.privatefile import OWNER_ONLY

PASSWORD_FILE = "cyclecloud.password"
"""Beside `autoscale.json`."""


@click.command()
@click.option("--url", help="Where CycleCloud answers: https://cyclecloud.example.com.")
@click.option("--username", help="The user that launches and ends nodes.")
@click.option("--cluster", help="The cluster's name in CycleCloud.")
@click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    help=f"A file that holds the password. Without it ${PASSWORD_VARIABLE} counts, or it is asked for.",
)
@click.option("--force", is_flag=True, help="Write over an autoscale.json that is there.")
@click.option("--no-test", is_flag=True, help="Do not try whether the cloud and the broker answer.")
@click.pass_context
@speaks
def init(
    ctx: click.Context,
    url: str | None,
    username: str | None,
    cluster: str | None,
    password_file: Path | None,
    force: bool,
    no_test: bool,
) -> None:
    """Ask for what is not given, write autoscale.json, and try the cloud and the broker.

    The password goes into a file of its own that only its owner can read. Exit code 1 if one of the two does
    not answer: what was written stays, to be mended.
    """
    path = settings_module.named()
    if path.exists() and not force:
        raise InvalidInput(f"{path} is there already: --force writes over it, `config` shows what it says")
    config: dict[str, Any] = {
        "url": url or click.prompt("CycleCloud's URL"),
        "username": username or click.prompt("User"),
        "cluster_name": cluster or click.prompt("Cluster"),
    }
    if password_file is not None:
        config["password_file"] = os.path.relpath(password_file, path.parent)
    elif not os.environ.get(PASSWORD_VARIABLE):
        password = click.prompt("Password", hide_input=True)
        _write(path.parent / PASSWORD_FILE, f"{password}\n", force=force)
        config["password_file"] = PASSWORD_FILE
    _write(path, json.dumps(config, indent=2) + "\n", force=force)
    say(f"written: {path}")
    settings_module.load()
    if not no_test:
        answers = [_cloud(), _broker(ctx.obj.app)]
        ctx.exit(0 if all(answers) else 1)


def _write(path: Path, content: str, *, force: bool) -> None:
    """For its owner only, and whole or not at all."""
    over = path.with_name(f"{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(over, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ONLY), "w") as out:
            out.write(content)
        if path.exists() and not force:
            over.unlink()
            raise InvalidInput(f"{path} is there already: --force writes over it")
        over.replace(path)
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be written: {error.strerror}") from error


def _cloud() -> bool:
    """Whether the cloud answers; says it."""
    from scalelib.clouds import open_provider

    settings = settings_module.load()
    try:
        provider = open_provider(settings.config, state_file=settings.state_file, look=True)
        try:
            cloud = provider.cloud()
        finally:
            provider.close()
    except ScalelibError as error:
        say(f"the cloud does NOT answer as it should: {error}")
        return False
    arrays = len({bucket.nodearray for bucket in cloud.buckets})
    sizes = f"{plural(len(cloud.buckets), 'kind')} of machine in {plural(arrays, 'nodearray')}"
    say(f"the cloud answers: {sizes}, {plural(len(cloud.nodes), 'node')} now")
    return True


def _broker(app: Any) -> bool:
    """Whether the broker answers; says it."""
    from autoscaler_app.brokers import open_broker

    try:
        dangers = open_broker(app).dangers()
    except BrokerError as error:
        say(f"the broker does NOT answer: {error}; $CELERY_BROKER_URL, or broker_url in celeryconfig.py")
        return False
    say("the broker answers")
    for danger in dangers:
        say(f"  {danger}")
    return True
