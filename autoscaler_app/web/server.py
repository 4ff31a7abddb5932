"""Serves the app: on this machine only, unless there is a password."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import uvicorn

from autoscaler_app.cli.explaining import of_task
from autoscaler_app.memory import tally
from autoscaler_app.memory.orders import is_paused
from autoscaler_app.passes.control import Control
from autoscaler_app.schedule import interval_of
from autoscaler_app.web.app import create_app
from autoscaler_app.web.guard import is_loopback
from autoscaler_app.web.hands.passwords import OPERATOR_VARIABLE, PASSWORD_VARIABLE
from autoscaler_app.web.remembered import StateFile
from scalelib.errors import InvalidConfig

HOST = "127.0.0.1"
PORT = 8787


def serve(
    control: Control,
    host: str = HOST,
    port: int = PORT,
    password: str | None = None,
    *,
    max_age: timedelta | None = None,
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve until interrupted. Tells the address to `ready` once it listens; port 0 takes a free one.

    The password is that of the environment, if None. Raises InvalidConfig if the host is not this machine's
    own and there is no password, and if the address cannot be had.
    """
    secret = os.environ.get(PASSWORD_VARIABLE, "") if password is None else password
    listening = listen(host, port, secret)
    app = create_app(
        control.reports,
        control.now,
        interval=interval_of(control.app.conf.beat_schedule),
        max_age=max_age,
        tally=lambda: tally.read(control.state.fact(tally.TALLY)),
        remembered=StateFile(lambda task_id: of_task(control, task_id)),
        paused=lambda: is_paused(control.state, control.now()),
        password=secret,
        operator_password=os.environ.get(OPERATOR_VARIABLE, ""),
        local_only=not secret,
    )
    with listening:
        ready(url_of(listening))
        try:
            server_of(app).run(sockets=[listening])
        except KeyboardInterrupt:
            # How a person ends it. The server has let go of its connections by then.
            return


def server_of(app: Any) -> uvicorn.Server:
    """A server that speaks plain HTTP/1.1, logs errors only, and does not say what it is made of."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http="h11",
            ws="none",
            interface="asgi3",
            proxy_headers=False,
            lifespan="off",
            loop="asyncio",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
    )


def listen(host: str, port: int, password: str) -> socket.socket:
    """A socket that listens there. Raises InvalidConfig that says what would be right."""
    if not password and not is_loopback(host):
        raise InvalidConfig(
            f"the web page is not served on {host!r} without a password, because everybody who can reach it "
            f"could read it: set {PASSWORD_VARIABLE}, or serve it on {HOST}"
        )
    if not 0 <= port <= 65535:
        # Some resolvers take the rest of a division by 65536 for it.
        raise InvalidConfig(f"the web page cannot be served on port {port}: a port is from 0 to 65535")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        return socket.create_server(address[:2], family=family)
    except (OSError, UnicodeError) as error:
        # The second: what cannot be a host name at all, such as one with an empty part.
        raise InvalidConfig(
            f"the web page cannot be served on {host!r}, port {port}: {error}; name an address of this "
            "machine and a free port"
        ) from error


def url_of(listening: socket.socket) -> str:
    """Where a browser finds it."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
