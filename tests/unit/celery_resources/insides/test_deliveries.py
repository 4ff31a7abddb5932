"""What a Redis channel has delivered outlives it: it runs on, and is acknowledged over the next one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from kombu import Connection, Consumer

from celery_resources.insides.deliveries import Deliveries


class Bench:
    """A queue of three messages, and connections that take them."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._open: list[Connection] = []
        self.server = redis.Redis.from_url(url)
        self.soon: list[tuple[Any, ...]] = []
        self.consumer = SimpleNamespace(
            hub=SimpleNamespace(call_later=lambda _, *call: self.soon.append(call)),
            connection_errors=(redis.ConnectionError,),
            on_connection_error_after_connected=self._close,
            task_consumer=None,
        )
        self.deliveries = Deliveries(self.consumer)
        with Connection(url) as connection, connection.SimpleQueue("work") as queue:
            for name in ("a", "b", "c"):
                queue.put(name, serializer="json")

    def channel(self) -> Any:
        connection = Connection(self._url)
        self._open.append(connection)
        return connection.default_channel

    def take(self, channel: Any, count: int) -> list[Any]:
        """The next messages."""
        taken: list[Any] = []
        connection = channel.connection.client
        consumer = Consumer(channel, [connection.SimpleQueue("work").queue], on_message=taken.append)
        channel.basic_qos(0, count, False)
        with consumer:
            while len(taken) < count:
                connection.drain_events(timeout=5)
        return taken

    def lose(self, channel: Any) -> None:
        """As Celery meets the loss of a connection."""
        self.consumer.task_consumer = SimpleNamespace(channel=channel)
        self.consumer.on_connection_error_after_connected(redis.ConnectionError("lost"))

    def _close(self, error: Exception) -> None:
        """As Celery closes what is left of it."""
        self._open[0].collect()
        self._open[0].close()

    @property
    def waiting(self) -> list[str]:
        """Next first."""
        return [json.loads(each)["body"] for each in reversed(self.server.lrange("work", 0, -1))]

    @property
    def taken(self) -> int:
        return int(self.server.hlen("unacked"))

    def close(self) -> None:
        for connection in self._open:
            connection.close()
        self.server.close()


@pytest.fixture
def bench(redis_url: str) -> Iterator[Bench]:
    made = Bench(redis_url)
    yield made
    made.close()


def test_what_runs_is_acknowledged_over_the_next_channel_and_runs_once(bench: Bench) -> None:
    first = bench.channel()
    bench.deliveries.come_to(first, set())
    (message,) = bench.take(first, 1)
    bench.lose(first)
    assert (bench.taken, len(bench.waiting)) == (1, 2), "nobody else is to run it"
    second = bench.channel()
    assert bench.deliveries.come_to(second, {message.delivery_tag}) == 0
    assert len(second.qos._delivered) == 1, "it counts against the credit of the new channel"
    message.ack()
    assert (bench.taken, len(bench.waiting)) == (0, 2)


def test_what_ends_between_two_connections_is_acknowledged_then(bench: Bench) -> None:
    first = bench.channel()
    bench.deliveries.come_to(first, set())
    taken = bench.take(first, 2)
    bench.lose(first)
    taken[0].ack()
    taken[1].reject(requeue=True)
    assert bench.taken == 2
    bench.deliveries.come_to(bench.channel(), {each.delivery_tag for each in taken})
    assert (bench.taken, len(bench.waiting), len(bench.deliveries)) == (0, 2, 0)


def test_what_has_not_begun_goes_back_to_the_front(bench: Bench) -> None:
    first = bench.channel()
    bench.deliveries.come_to(first, set())
    before = bench.waiting[0]
    bench.take(first, 1)
    bench.lose(first)
    assert bench.deliveries.come_to(bench.channel(), set()) == 1
    assert (bench.taken, len(bench.waiting), bench.waiting[0]) == (0, 3, before)


def test_an_acknowledgement_that_did_not_arrive_is_sent_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = bench.channel()
    breaks: Callable[..., None] = _breaks
    monkeypatch.setattr(first.qos, "ack", breaks)
    bench.deliveries.come_to(first, set())
    (message,) = bench.take(first, 1)
    with pytest.raises(redis.ConnectionError):
        message.ack()
    ((end, *arguments),) = bench.soon
    with pytest.raises(redis.ConnectionError):
        end(*arguments)
    bench.lose(first)
    bench.deliveries.come_to(bench.channel(), set())
    assert (bench.taken, len(bench.waiting)) == (0, 2)
    end(*arguments)  # too late to end the next connection


def _breaks(delivery_tag: str) -> None:
    raise redis.ConnectionError("Connection closed by server.")
