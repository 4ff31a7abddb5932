"""A RabbitMQ node of the tests' own, with the management plugin: it may be stopped, killed and started again.

It shares nothing with a RabbitMQ of this machine: its own ports, files, cookie, and its own `epmd` (Erlang's
port mapper, which the nodes of a machine otherwise share).
"""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path
from urllib.parse import quote

import httpx
import psutil

from demo.process import Process, wait_for
from tests.conftest import free_port

VARIABLE = "TEST_RABBITMQ_SERVER"
"""Names the program, where it is not found."""

# Debian has a wrapper on PATH that changes the user, and so cannot write into a folder of ours.
_BEHIND_WRAPPERS = "/usr/lib/rabbitmq/bin"
_STARTED = "Server startup complete"
_PATIENCE = 120.0
"""Seconds. It takes 5 to start on an idle machine, and 30 on a busy one."""


def server_program() -> str | None:
    """Where `rabbitmq-server` is; None if there is none."""
    named = os.environ.get(VARIABLE)
    return named or shutil.which(
        "rabbitmq-server", path=os.pathsep.join([_BEHIND_WRAPPERS, os.environ.get("PATH", "")])
    )


class RabbitMQ:
    """One node. What is durable outlives `stop` and `kill`, until `close`."""

    def __init__(self, program: str, folder: Path, address: str = "127.0.0.1") -> None:
        """`address`: where it listens for AMQP."""
        self._folder = folder
        self._address = address
        self._port, self._management_port = free_port(), free_port()
        (folder / "home").mkdir(parents=True)
        (folder / "environment").touch()  # instead of the one in /etc
        (folder / "plugins").write_text("[rabbitmq_management].\n")
        (folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = {address}:{self._port}\n"
            "management.tcp.ip = 127.0.0.1\n"
            f"management.tcp.port = {self._management_port}\n"
            "collect_statistics_interval = 1000\n"
        )
        self._epmd_port = free_port()
        env = {
            "HOME": str(folder / "home"),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"tests-{uuid.uuid4().hex[:8]}@localhost",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "environment"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_LOGS": "-",
        }
        self._epmd = Process(
            "epmd", ["epmd", "-port", str(self._epmd_port)], folder=folder, cwd=folder, env=env
        )
        self._server: Process | None = None
        try:
            wait_for(self._epmd_listens, 30, "epmd listens")
            self._server = Process("rabbitmq", [program], folder=folder, cwd=folder, env=env)
            self._server.wait_for_line(_STARTED, _PATIENCE)
        except BaseException:
            self.close()
            raise
        self._http = httpx.Client(base_url=self.management_url, auth=("guest", "guest"), timeout=30)

    def _epmd_listens(self) -> bool:
        return any(
            each.laddr.port == self._epmd_port and each.status == psutil.CONN_LISTEN
            for each in psutil.Process(self._epmd.pid).net_connections()
        )

    @property
    def management_url(self) -> str:
        """Where the management plugin answers; without a user."""
        return f"http://127.0.0.1:{self._management_port}"

    def new_vhost(self) -> str:
        """The URL of an empty virtual host."""
        name = f"tests-{uuid.uuid4().hex[:8]}"
        self._http.put(f"/api/vhosts/{name}").raise_for_status()
        return f"amqp://guest:guest@{self._address}:{self._port}/{name}"

    def drop_vhost(self, url: str) -> None:
        """Remove it with everything in it."""
        self._http.delete(f"/api/vhosts/{quote(url.rpartition('/')[2], safe='')}").raise_for_status()

    def add_user(
        self, name: str, password: str, tags: str, url: str, rights: tuple[str, str, str] = ("", "", "")
    ) -> None:
        """A user with these tags, who may configure, write and read in the virtual host of the URL what
        `rights` say, which is nothing if they are not given.
        """
        body = {"password": password, "tags": tags}
        self._http.put(f"/api/users/{name}", json=body).raise_for_status()
        given = dict(zip(("configure", "write", "read"), rights, strict=True))
        vhost = quote(url.rpartition("/")[2], safe="")
        self._http.put(f"/api/permissions/{vhost}/{name}", json=given).raise_for_status()

    def stop(self) -> None:
        """Shut it down as an administrator does."""
        assert self._server is not None
        self._server.stop(grace=_PATIENCE)

    @property
    def group(self) -> int:
        """The process group of the server."""
        assert self._server is not None
        return self._server.pid

    def kill(self) -> None:
        """As when the machine loses power."""
        assert self._server is not None
        self._server.kill()

    def start_again(self) -> None:
        """With what it had on disk. Nothing is done if it runs."""
        assert self._server is not None
        if self._server.exit_code is not None:
            self._server.start_again()
            self._server.wait_for_line(_STARTED, _PATIENCE)

    def close(self) -> None:
        """End it and its epmd."""
        if self._server is not None:
            self._server.stop(grace=_PATIENCE)
        self._epmd.stop()
        if hasattr(self, "_http"):
            self._http.close()
