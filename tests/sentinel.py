"""A Redis master with a replica, and a Sentinel that promotes it when the master is killed."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

import redis

from demo.process import Process
from tests.conftest import free_port, missing, wait_until

NAME = "mymaster"
DOWN_AFTER = 500
"""Milliseconds."""


def server_program() -> str:
    """A server that can be a Sentinel as well. The test is skipped where there is none."""
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    return found or missing("no valkey-server or redis-server", "PATH")


class Group:
    """Three processes; `kill_master` may be called once."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._program = folder, server_program()
        folder.mkdir()
        self._ports = {name: free_port() for name in ("master", "replica", "sentinel")}
        self.url = f"sentinel://127.0.0.1:{self._ports['sentinel']}/0"
        self.options: dict[str, Any] = {"master_name": NAME, "visibility_timeout": 3600}
        """For `broker_transport_options`."""
        self._processes: dict[str, Process] = {}
        try:
            self._serve("master")
            self._serve("replica", "--replicaof", "127.0.0.1", str(self._ports["master"]))
            wait_until(self.is_in_step, what="the replica follows")
            self._watch()
        except BaseException:
            self.close()
            raise

    def _serve(self, name: str, *words: str) -> None:
        settings = {"save": "", "dbfilename": f"{name}.rdb", "repl-diskless-sync-delay": "0"}
        given = [word for key, value in settings.items() for word in (f"--{key}", value)]
        self._start(name, "--port", str(self._ports[name]), "--bind", "127.0.0.1", *given, *words)
        wait_until(lambda: self._answers(name), what=f"the {name} answers")

    def _watch(self) -> None:
        master = f"127.0.0.1 {self._ports['master']}"
        (self._folder / "sentinel.conf").write_text(
            f"port {self._ports['sentinel']}\nbind 127.0.0.1\ndir {self._folder}\n"
            f"sentinel monitor {NAME} {master} 1\n"
            f"sentinel down-after-milliseconds {NAME} {DOWN_AFTER}\nsentinel failover-timeout {NAME} 3000\n"
        )
        self._start("sentinel", str(self._folder / "sentinel.conf"), "--sentinel")
        wait_until(lambda: self._answers("sentinel"), what="the Sentinel answers")
        wait_until(lambda: self._told()["num-slaves"] == 1, what="the Sentinel knows the replica")

    def _start(self, name: str, *words: str) -> None:
        self._processes[name] = Process(
            name, [self._program, *words], folder=self._folder, cwd=self._folder, env={}
        )

    def _client(self, name: str) -> redis.Redis:
        return redis.Redis(port=self._ports[name], decode_responses=True, socket_timeout=5)

    def _answers(self, name: str) -> bool:
        with self._client(name) as client, contextlib.suppress(redis.RedisError):
            return bool(client.ping())
        return False

    def _told(self) -> dict[str, Any]:
        with self._client("sentinel") as client:
            return dict(client.sentinel_master(NAME))

    def is_in_step(self) -> bool:
        """Whether the replica has all that the master has: what it has not, a failover loses."""
        with self._client("master") as master, self._client("replica") as replica:
            theirs = replica.info("replication")
            at = master.info("replication")["master_repl_offset"]
            return theirs["master_link_status"] == "up" and theirs["slave_repl_offset"] >= at

    def kill_master(self) -> None:
        """It ends without a word; returns when the replica takes its place."""
        self._processes["master"].kill()
        wait_until(lambda: self._told()["port"] == self._ports["replica"], what="the replica is promoted")

    def close(self) -> None:
        """For good."""
        for process in self._processes.values():
            process.stop(5)
