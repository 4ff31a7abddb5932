"""Brokers of a run, each of its own: how it ends without a word, comes back, and fails over if it can."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import click
import redis

from demo.process import wait_for
from tests.durable import DurableBroker
from tests.labs import relay_to
from tests.rabbitmq import VARIABLE, RabbitMQ, server_program

BROKERS = ("valkey", "redis", "rabbitmq", "quorum")
QUORUM = {
    "task_default_queue_type": "quorum",
    "task_create_missing_queue_type": "quorum",
    "worker_detect_quorum_queues": True,
}
"""On `quorum`, the settings of nodes and of whoever sends."""
IN_STEP = 30.0
"""Seconds for a follower to have all that its leader has."""


class Broker(Protocol):
    """What faults do to one. What it has acknowledged outlives all of them."""

    url: str

    def kill(self) -> None:
        """As when its machine loses power."""

    def start(self) -> None:
        """With what it had on disk. Nothing is done if it runs."""

    def mend(self) -> None:
        """After its disk was full."""

    def fail_over(self) -> bool:
        """Another one takes its place, at the same address; False: there is no other one."""


class RedisPair:
    """A leader and its follower behind one address, as a managed Redis is."""

    def __init__(self, folder: Path, program: str) -> None:
        (folder / "one").mkdir(parents=True)
        (folder / "other").mkdir()
        self._leader = DurableBroker(folder / "one", program)
        self._follower = DurableBroker(folder / "other", program)
        self._front = relay_to(self._leader.url)
        self.url = self._front.url
        self._follow()

    def _follow(self) -> None:
        host, _, port = self._leader.url.removeprefix("redis://").removesuffix("/0").partition(":")
        self._follower.follow(host, port)

    def kill(self) -> None:
        self._leader.lose_power()

    def start(self) -> None:
        if not _answers(self._leader.url):
            self._leader.start_again()
        if not _answers(self._follower.url):
            self._follower.start_again()
            self._follow()

    def mend(self) -> None:
        # A server that cannot write down what it is to acknowledge ends itself.
        self.start()

    def fail_over(self) -> bool:
        # What a leader has acknowledged and its follower has not, Redis loses; so nothing new is
        # acknowledged from here on.
        self._front.hold()
        wait_for(self._is_in_step, IN_STEP, "the follower has all that the leader has")
        self._leader.lose_power()
        self._leader, self._follower = self._follower, self._leader
        self._leader.follow("no", "one")
        self._front.lead_to(self._leader.url)
        self._front.cut()
        self._front.release()
        self._follower.start_again()
        self._follow()
        return True

    def _is_in_step(self) -> bool:
        with (
            redis.Redis.from_url(self._leader.url) as leader,
            redis.Redis.from_url(self._follower.url) as other,
        ):
            at, theirs = leader.info("replication")["master_repl_offset"], other.info("replication")
            return theirs["master_link_status"] == "up" and theirs["slave_repl_offset"] >= at

    def close(self) -> None:
        self._front.close()
        self._follower.stop()
        self._leader.stop()


class RabbitNode:
    """One node of RabbitMQ, and no other one."""

    def __init__(self, folder: Path, program: str) -> None:
        self._node = RabbitMQ(program, folder)
        self.url = self._node.new_vhost()
        self.kill, self.start, self.close = self._node.kill, self._node.start_again, self._node.close

    def mend(self) -> None:
        # Parts of it may have ended while the rest runs, and it can be ending: as an operator would.
        self.kill()
        self.start()

    def fail_over(self) -> bool:
        return False


@contextlib.contextmanager
def broker_of(kind: str, folder: Path) -> Iterator[Broker]:
    """One of `BROKERS`, with its data in `folder`. Raises UsageError where its program is missing."""
    made: RedisPair | RabbitNode
    if kind in ("valkey", "redis"):
        if (program := "" if kind == "valkey" else shutil.which("redis-server")) is None:
            raise click.UsageError("no redis-server on PATH")
        made = RedisPair(folder, program)
    else:
        if (program := server_program()) is None:
            raise click.UsageError(f"no rabbitmq-server on PATH; {VARIABLE} may name one")
        made = RabbitNode(folder, program)
    try:
        yield made
    finally:
        made.close()


def _answers(url: str) -> bool:
    client: Any = redis.Redis.from_url(url, socket_timeout=5)
    with client, contextlib.suppress(redis.RedisError):
        return bool(client.ping())
    return False
