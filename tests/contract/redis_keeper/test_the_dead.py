"""What a dead consumer had is put back at once and once; what a living one has stays where it is."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

import pytest
import redis
from kombu import Connection, Queue

from benchmarks._kills import Breaking
from redis_keeper import pulse
from redis_keeper.layout import consumer_of
from redis_keeper.scripts import GIVE_BACK
from tests.contract.redis_keeper.holders import bodies, got, holding, put

Connect = Callable[..., Connection]
Wait = Callable[..., Any]


def watched(connection: Connection) -> pulse.Pulse:
    """This process looks after the others from now on; its pulse."""
    channel = connection.default_channel
    channel.pulse.serve(channel)
    found: pulse.Pulse = channel.pulse
    return found


def looks_after(server: redis.Redis, watcher: pulse.Pulse) -> bool:
    """Whether it is the one; if not, whoever is gives it up."""
    if server.get("unacked.watcher") == watcher.consumer.encode():
        return True
    server.delete("unacked.watcher")
    return False


def test_what_a_killed_one_had_comes_at_once_and_once(
    url: str, connect: Connect, server: redis.Redis
) -> None:
    connection = connect()
    put(connection, *range(5))
    with holding(url, "q", 5) as holder:
        name = holder.wait()
        assert server.hlen("unacked") == 5
        holder.kill()
        messages = got(connection, 5)
    assert sorted(bodies(messages)) == [0, 1, 2, 3, 4]
    assert all(message.delivery_info["redelivered"] for message in messages)
    assert {consumer_of(message.delivery_tag) for message in messages} != {name}
    assert server.hlen("unacked") == server.llen("q") == 0


def test_of_two_that_have_read_the_same_one_gives_it_back(connect: Connect, server: redis.Redis) -> None:
    """Neither looks at what the other does: the step itself finds that it is done."""
    connection = connect()
    put(connection, "one")
    message = Queue("q")(connection.default_channel).get()
    names, tag = connection.default_channel.layout, message.delivery_tag
    entry = server.hget("unacked", tag)
    keys = [names.consumers, names.unacked, names.index, *names.lists(["q"])[:1], names.wake("q")]
    given = [GIVE_BACK(server, keys, [tag, entry, "one", "RPUSH", "", "", 600]) for _ in range(2)]
    assert (given, server.llen("q"), server.hlen("unacked")) == ([1, 0], 1, 0)


def test_who_seems_dead_is_left_alone_for_a_while_and_anew_after_each_loss(
    connect: Connect, server: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connect()
    put(connection, "one")
    message = Queue("q")(connection.default_channel).get()
    entry = server.hget("unacked", message.delivery_tag) or b""
    message.ack()
    server.hset("unacked", "keeper:gone:1:abc:1", entry)
    server.zadd("unacked.consumers", {"keeper:gone:1:abc": 1})
    channel = connection.default_channel
    watcher = pulse.Pulse(channel.layout, channel._own_pool())  # its thread does not run
    seems_dead = {b"keeper:gone:1:abc": b"1"}
    monkeypatch.setattr(pulse, "GRACE", 1000.0)
    watcher._bury(seems_dead)
    first = dict(watcher._absent)
    watcher._bury(seems_dead)
    assert (watcher._absent, server.hlen("unacked")) == (first, 1)
    watcher._lost()
    assert watcher._absent == {}
    watcher._bury(seems_dead)
    assert watcher._absent["keeper:gone:1:abc"] > first["keeper:gone:1:abc"]
    monkeypatch.setattr(pulse, "GRACE", 0.0)
    watcher._bury(seems_dead)
    assert (server.hlen("unacked"), server.zscore("unacked.consumers", "keeper:gone:1:abc")) == (0, None)


def test_a_frozen_one_keeps_what_it_has(
    url: str, connect: Connect, server: redis.Redis, wait_until: Wait
) -> None:
    connection = connect()
    put(connection, "one")
    with holding(url, "q", 1) as holder:
        name = holder.wait()
        holder.signal(signal.SIGSTOP)
        # Several times as long as a dead one is left alone.
        watcher = watched(connection)
        wait_until(lambda: looks_after(server, watcher))
        time.sleep(3 * pulse.GRACE)
        shelf = connection.default_channel.pulse.shelf
        assert shelf.give_back(shelf.tags_of(name)[0], dead=name) == -1
        assert server.hlen("unacked") == 1
        holder.kill()
        assert bodies(got(connection, 1)) == ["one"]


def test_a_silent_one_is_dead_some_day_whatever_its_connection(
    url: str, connect: Connect, server: redis.Redis, wait_until: Wait
) -> None:
    """The way out where a machine vanished and the server keeps its connection."""
    connection = connect()
    put(connection, "one")
    with holding(url, "q", 1) as holder:
        name = holder.wait()
        holder.signal(signal.SIGSTOP)
        server.zadd("unacked.consumers", {name: time.time() - 601})
        assert bodies(got(connection, 1)) == ["one"]
        # It is forgotten after all that it had is back, and may have to be so a second time.
        wait_until(lambda: server.zscore("unacked.consumers", name) is None)


def test_a_dead_one_is_forgotten(url: str, connect: Connect, server: redis.Redis, wait_until: Wait) -> None:
    connection = connect()
    with holding(url, "q", 0) as holder:
        name = holder.wait()
        holder.kill()
        watched(connection)
        server.zadd("unacked.consumers", {name: 1})
        wait_until(lambda: server.zscore("unacked.consumers", name) is None)


@pytest.mark.parametrize("seed", range(4))
def test_an_answer_that_breaks_off_loses_nothing(
    url: str, connect: Connect, server: redis.Redis, wait_until: Wait, seed: int
) -> None:
    """Whether the fetch was done or not: the message comes, and comes to one."""
    with closing(Breaking(url, random.Random(seed))) as ways:
        broken = connect(ways.url)
        put(connect(), *range(30))
        found: list[Any] = []

        def take(body: Any, message: Any) -> None:
            message.ack()
            found.append(body)
            if len(found) == 10:
                ways.arm()

        with broken.Consumer([Queue("q")], callbacks=[take]), suppress(*broken.connection_errors):
            while len(found) < 30:
                broken.drain_events(timeout=10)
        found += bodies(got(connect(), 30 - len(found)))
        assert sorted(found) == list(range(30))
        wait_until(lambda: server.hlen("unacked") == 0, what="what was owed is told")


def test_what_was_acknowledged_without_a_connection_is_told_later(
    connect: Connect, server: redis.Redis, wait_until: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connect()
    put(connection, "one", "two")
    first, second = got(connection, 2, ack=False)
    shelf = connection.default_channel.pulse.shelf
    settle, failures = shelf.settle, [redis.ConnectionError("gone"), redis.TimeoutError("and slow")]

    def fails_at_first(tag: str) -> None:
        if failures:
            raise failures.pop()
        settle(tag)

    monkeypatch.setattr(shelf, "settle", fails_at_first)
    with pytest.raises(redis.TimeoutError):
        first.ack()
    wait_until(lambda: server.hkeys("unacked") == [second.delivery_tag.encode()])
    assert (server.llen("q"), failures) == (0, [])


def test_after_a_restart_of_the_broker_nobody_is_taken_for_dead(
    url: str, connect: Connect, server: redis.Redis, wait_until: Wait
) -> None:
    """Every connection is gone, also the watcher's: it has seen nobody absent for long."""
    connection = connect()
    put(connection, "one")
    with holding(url, "q", 1) as holder:
        name = holder.wait()
        watcher = watched(connection)
        wait_until(lambda: looks_after(server, watcher))
        for _ in range(5):
            server.client_kill_filter(_type="pubsub")
            wait_until(lambda: server.pubsub_numsub(f"unacked.alive.{name}")[0][1] == 1)
        assert server.hlen("unacked") == 1


def test_a_stock_worker_beside_us_takes_back_by_time_what_is_the_deads_alone(
    connect: Connect,
    stock: Connect,
    server: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    wait_until: Wait,
) -> None:
    """It looks at times of delivery. Those of what is held here stay fresh."""
    monkeypatch.setattr(pulse, "FRESH", 0.1)
    put(connect(), "one")
    (message,) = got(connect(), 1, ack=False)
    server.zadd("unacked_index", {message.delivery_tag: 1})
    wait_until(lambda: (server.zscore("unacked_index", message.delivery_tag) or 0) > 1)
    channel = stock(visibility_timeout=1000, unacked_restore_throttle=1).default_channel
    channel.qos.restore_visible(interval=1)
    assert server.hlen("unacked") == 1


def test_each_kind_of_worker_puts_back_what_the_other_had(
    connect: Connect, stock: Connect, server: redis.Redis
) -> None:
    """By time, where who had it is a stock one, or where only stock ones are left."""
    ours, theirs = connect(), stock()
    put(ours, "one")
    queue = Queue("q")
    mine = queue(ours.default_channel).get()
    theirs.default_channel.qos.restore_by_tag(mine.delivery_tag)
    again = queue(theirs.default_channel).get()
    assert (again.payload, server.hlen("unacked")) == ("one", 1)

    server.zadd("unacked_index", {again.delivery_tag: 1})
    ours.default_channel.qos.restore_visible(interval=1)
    third = queue(ours.default_channel).get()
    assert (third.payload, third.delivery_info["redelivered"]) == ("one", True)
    server.zadd("unacked_index", {third.delivery_tag: 1})
    ours.default_channel.qos.restore_visible(interval=1)
    assert server.llen("q") == 0, "ours is not put back by time: who has it lives"


def test_the_child_of_a_fork_is_nobody_we_know(
    url: str, connect: Connect, server: redis.Redis, wait_until: Wait
) -> None:
    """It has another name, and its copies of our sockets do not keep us alive when we are killed."""
    connection = connect()
    put(connection, "one")
    with holding(url, "q", 1, forks=True) as holder:
        name = holder.wait()
        child, _, childs = holder.wait().partition(" ")
        try:
            assert childs
            assert childs != name
            holder.process.kill()
            assert bodies(got(connection, 1)) == ["one"]
            os.kill(int(child), 0)
        finally:
            os.kill(int(child), signal.SIGKILL)
