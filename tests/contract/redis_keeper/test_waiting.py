"""Who waits is woken, or looks by itself within a second; to wait costs the server next to nothing."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from kombu import Connection, Queue

from redis_keeper import transport
from redis_keeper.sentry import Sentry
from tests.contract.redis_keeper.holders import bodies, got, holding, put

Connect = Callable[..., Connection]
Wait = Callable[..., Any]


class Waiting(threading.Thread):
    """Consumes until it has so many."""

    def __init__(self, connection: Connection, count: int = 1) -> None:
        super().__init__()
        self.connection, self.count = connection, count
        self.found: list[Any] = []
        self.start()

    def run(self) -> None:
        self.found += bodies(got(self.connection, self.count))


def waiters(server: redis.Redis) -> frozenset[str]:
    """Who waits in this database, by id: a program of another test may not have ended yet."""
    mine = str(server.connection_pool.connection_kwargs["db"])
    return frozenset(
        each["id"] for each in server.client_list() if each["cmd"] == "brpop" and each["db"] == mine
    )


LONG = 60.0


@pytest.mark.parametrize("how", ["a token", "the sentry", "a look"])
def test_each_of_three_ways_alone_is_enough(
    connect: Connect,
    stock: Connect,
    server: redis.Redis,
    wait_until: Wait,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    """A producer's token; the sentry, where a stock one leaves none; and that one looks once a second."""
    if how != "a look":
        monkeypatch.setattr(transport, "LONGEST_WAIT", LONG)
    if how != "the sentry":
        monkeypatch.setattr(Sentry, "mount", lambda *_: None)
    producer = connect() if how == "a token" else stock()
    before = waiters(server)
    waiting = Waiting(connect(polling_interval=LONG))
    wait_until(lambda: len(waiters(server) - before) == 1)
    if how == "the sentry":
        wait_until(lambda: server.exists("unacked.sentry.q"))
    put(producer, "one")
    waiting.join(LONG / 2)
    assert waiting.found == ["one"]


def test_one_sentry_looks_at_a_queue_and_another_takes_over(
    url: str, connect: Connect, server: redis.Redis, wait_until: Wait
) -> None:
    with holding(url, "q", 0) as holder:
        name = holder.wait()
        connection = connect()
        with connection.Consumer([Queue("q")], callbacks=[lambda body, message: None]):
            ours = connection.default_channel.pulse.consumer
            wait_until(lambda: server.get("unacked.sentry.q") == name.encode())
            wait_until(lambda: server.zscore("unacked.consumers", ours), what="we are there too")
            holder.kill()
            wait_until(lambda: server.get("unacked.sentry.q") == ours.encode())


def test_two_messages_wake_two(connect: Connect, server: redis.Redis, wait_until: Wait) -> None:
    """The second one need not wait until the first one has been done."""
    before = waiters(server)
    both = [Waiting(connect()) for _ in range(2)]
    wait_until(lambda: len(waiters(server) - before) == 2)
    put(connect(), "one", "two")
    for each in both:
        each.join(20)
    assert sorted(each.found[0] for each in both) == ["one", "two"]


def test_to_wait_is_two_commands_a_second(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = connect()
    with connection.Consumer([Queue("q")], callbacks=[lambda body, message: None]):
        channel, sent = connection.default_channel, []
        with pytest.raises(socket.timeout):
            connection.drain_events(timeout=0.1)
        waiting = channel.client.connection
        send = waiting.send_command
        monkeypatch.setattr(waiting, "send_command", lambda *words: (sent.append(words[0]), send(*words)))
        began = time.monotonic()
        with pytest.raises(socket.timeout):
            connection.drain_events(timeout=2.2)
        seconds = time.monotonic() - began
    # However slow the machine is, not more.
    assert set(sent) == {"BRPOP", "EVALSHA"}
    assert len(sent) <= 2 * (seconds + 2)


def test_a_queue_that_is_added_is_heard(connect: Connect) -> None:
    connection = connect()
    put(connection, "one", queue="b")
    found: list[Any] = []

    def take(body: Any, message: Any) -> None:
        message.ack()
        found.append(body)

    with connection.Consumer([Queue("a")], callbacks=[take]) as consumer:
        try:
            connection.drain_events(timeout=0.1)
        except OSError:
            consumer.add_queue(Queue("b"))
            consumer.consume()
        while not found:
            connection.drain_events(timeout=10)
    assert found == ["one"]
