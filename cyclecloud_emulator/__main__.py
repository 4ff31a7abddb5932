"""`python -m cyclecloud_emulator`: serve until told to stop."""

from __future__ import annotations

import ipaddress
import logging
import os
import secrets
import signal
import ssl
import sys
import threading
from pathlib import Path
from types import FrameType

import click

from cyclecloud_emulator.ctl import ctl
from cyclecloud_emulator.emulator import Emulator
from cyclecloud_emulator.errors import BadSettings
from cyclecloud_emulator.settings import DEFAULT_FILE, Settings, load, replace


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config", type=click.Path(path_type=Path), help="Settings, TOML or JSON.  [default: built in]"
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8081, show_default=True, type=click.IntRange(0, 65535), help="0: a free one.")
@click.option("--allow-remote", is_flag=True, help="Allow a --host that other machines can reach.")
@click.option("--user", help="User name.  [default: emulator]")
@click.option(
    "--password-env",
    default="CYCLECLOUD_PASSWORD",
    show_default=True,
    help="Variable that holds the password; nodes do not inherit it.",
)
@click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    help="File that holds the password; made, for its owner only, if it is not there.",
)
@click.option("--boot-seconds", type=click.FloatRange(0), help="From a create to Ready.")
@click.option(
    "--terminate-seconds", type=click.FloatRange(0), help="From a terminate to the end of the record."
)
@click.option("--node-kind", type=click.Choice(["process", "simulated", "none"]), help="What a node is.")
@click.option("--app", help="Celery app that nodes run.  [default: worker_tasks]")
@click.option("--broker", help="CELERY_BROKER_URL of the nodes.  [default: inherited]")
@click.option(
    "--folder", type=click.Path(path_type=Path), help="Folder for nodes, kept.  [default: temporary]"
)
@click.option(
    "--state-file", type=click.Path(path_type=Path), help="Remember here what a restart is to know."
)
@click.option("--forget", is_flag=True, help="With --state-file: begin anew; nodes of before are ended.")
@click.option("--port-file", type=click.Path(path_type=Path), help="Write the port here when ready.")
@click.option("--seed", default=0, show_default=True, help="Seed of faults that strike by chance.")
@click.option("--tls-cert", type=click.Path(path_type=Path), help="Certificate (PEM): serve HTTPS.")
@click.option("--tls-key", type=click.Path(path_type=Path), help="Its key (PEM).")
@click.option("--show-config", is_flag=True, help="Print the built-in settings file and stop.")
@click.option("--verbose", is_flag=True, help="Log what happens to nodes.")
@click.pass_context
def main(context: click.Context, /, **options: object) -> None:
    """A CycleCloud emulator: the same REST API, nodes that are processes of this machine.

    Prints a line that begins with "Ready:" when it answers. Ends, and ends every node, on SIGINT or
    SIGTERM; should it be killed, the nodes end by themselves. With --state-file they go on for a while,
    and the next emulator with that file takes them over.
    """
    if context.invoked_subcommand is not None:
        return
    if options["show_config"]:
        click.echo(DEFAULT_FILE.read_text(encoding="utf-8"), nl=False)
        return
    try:
        serve(options)
    except (BadSettings, OSError, ssl.SSLError) as error:
        raise click.ClickException(str(error)) from error


def serve(options: dict[str, object]) -> None:
    """Run until SIGINT or SIGTERM."""
    settings = _settings(options)
    host, port = str(options["host"]), options["port"]
    assert isinstance(port, int)
    if not options["allow_remote"] and not _is_loopback(host):
        raise BadSettings(
            f"--host {host}: other machines could reach it; use 127.0.0.1, or say --allow-remote"
        )
    if options["forget"] and options["state_file"] is None:
        raise BadSettings("--forget without --state-file: there is nothing to forget")
    password, where = _password(settings, options)
    logging.basicConfig(
        level=logging.INFO if options["verbose"] else logging.WARNING, format="%(asctime)s %(message)s"
    )
    folder, port_file = options["folder"], options["port_file"]
    done = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        done.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    with Emulator.start(
        settings,
        password=password,
        host=host,
        port=port,
        folder=folder,
        seed=options["seed"],
        tls=_tls(options),
        hide=(str(options["password_env"]),),
        state_file=options["state_file"],
        forget=options["forget"],
    ) as emulator:
        if isinstance(port_file, Path):
            _write_whole(port_file, f"{emulator.port}\n")
        click.echo(f"User: {emulator.user}, password: {where}")
        click.echo(f"Folder of the nodes: {emulator.folder}")
        click.echo(f"Ready: {emulator.url} cluster {emulator.cluster}")
        sys.stdout.flush()
        done.wait()
    if options["state_file"] is None:
        click.echo("Stopped; no node is left.")
    else:
        click.echo(f"Stopped; nodes go on for {settings.nodes.linger_seconds:g} s.")


def _settings(options: dict[str, object]) -> Settings:
    config = options["config"]
    settings = load(config if isinstance(config, Path) else None)
    nodes = {
        name: options[option]
        for name, option in (
            ("boot_seconds", "boot_seconds"),
            ("terminate_seconds", "terminate_seconds"),
            ("kind", "node_kind"),
            ("app", "app"),
        )
        if options[option] is not None
    }
    if options["broker"] is not None:
        nodes["environment"] = {**settings.nodes.environment, "CELERY_BROKER_URL": options["broker"]}
    changes: dict[str, object] = {"nodes": nodes}
    if options["user"] is not None:
        changes["user"] = options["user"]
    return replace(settings, **changes)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _password(settings: Settings, options: dict[str, object]) -> tuple[str, str]:
    """The password, and what to tell people about it."""
    variable, file = str(options["password_env"]), options["password_file"]
    if os.environ.get(variable):
        return os.environ[variable], f"from {variable}"
    if isinstance(file, Path):
        if not file.exists():
            _write_whole(file, secrets.token_urlsafe(16) + "\n", mode=0o600)
        password = file.read_text(encoding="utf-8").strip()
        if not password:
            raise BadSettings(f"--password-file {file}: empty; it has to hold the password")
        return password, f"in {file}"
    if settings.password:
        return settings.password, "from the settings file"
    password = secrets.token_urlsafe(16)
    return password, f"{password} (made up; set {variable} to choose one)"


def _write_whole(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write a file so that nobody ever sees half of it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def _tls(options: dict[str, object]) -> ssl.SSLContext | None:
    certificate, key = options["tls_cert"], options["tls_key"]
    if certificate is None and key is None:
        return None
    if not isinstance(certificate, Path):
        raise BadSettings("--tls-key without --tls-cert: both are needed")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key if isinstance(key, Path) else None)
    return context


main.add_command(ctl)

if __name__ == "__main__":
    main(prog_name="python -m cyclecloud_emulator")
