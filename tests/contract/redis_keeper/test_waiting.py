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

from tests.contract.redis_keeper.holders import bodies, got, put

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


def waiters(server: redis.Redis) -> int:
    """Who waits in this database."""
    mine = str(server.connection_pool.connection_kwargs["db"])
    return sum(each["cmd"] == "brpop" and each["db"] == mine for each in server.client_list())


def test_a_token_wakes_and_a_message_without_one_is_found(
    connect: Connect, stock: Connect, server: redis.Redis, wait_until: Wait
) -> None:
    for producer in (connect(), stock()):
        waiting = Waiting(connect())
        wait_until(lambda: waiters(server) == 1)
        put(producer, "one")
        waiting.join(20)
        assert waiting.found == ["one"]


def test_two_messages_wake_two(connect: Connect, server: redis.Redis, wait_until: Wait) -> None:
    """The second one need not wait until the first one has been done."""
    both = [Waiting(connect()) for _ in range(2)]
    wait_until(lambda: waiters(server) == 2)
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
