"""When a queue is added to those that are consumed."""

from __future__ import annotations

import time
import uuid
from types import SimpleNamespace
from typing import Any

import pytest
from kombu import Connection, Consumer, Exchange, Producer, Queue

from celery_resources.intake.subscriptions import LATELY, LONGEST_QUIET, SETTLE, Subscriptions

ALL = {"a", "b", "c"}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def _chosen(last_addition: float, *active: str) -> Any:
    made = Subscriptions(None, lambda: None)
    made.active = set(active)
    made._added_at = last_addition
    return made


def test_soon_after_an_addition_the_next_one_is_put_off_and_not_forgotten(clock: list[float]) -> None:
    chosen = _chosen(clock[0], "a")
    chosen.choose(allowed=ALL, fitting={"a", "b"}, idle=False)
    assert chosen.active == {"a"}
    assert chosen.postponed == pytest.approx(SETTLE)
    clock[0] += SETTLE / 2
    chosen.choose(allowed=ALL, fitting={"a", "b"}, idle=False)
    assert chosen.postponed == pytest.approx(SETTLE / 2)
    clock[0] += chosen.postponed
    chosen.choose(allowed=ALL, fitting={"a", "b"}, idle=False)
    assert chosen.active == {"a", "b"}
    assert chosen.postponed == 0


@pytest.mark.parametrize(("active", "idle"), [("a", True), ("c", False)])
def test_a_node_that_would_wait_for_nothing_adds_at_once(clock: list[float], active: str, idle: bool) -> None:
    chosen = _chosen(clock[0], active)
    chosen.choose(allowed=ALL, fitting={"a", "b"}, idle=idle)
    assert chosen.active == {"a", "b"}
    assert chosen.postponed == 0


def test_nothing_is_put_off_when_nothing_is_to_be_added(clock: list[float]) -> None:
    chosen = _chosen(clock[0], "a", "b")
    chosen.choose(allowed=ALL, fitting={"a"}, idle=False)
    assert chosen.active == {"a"}
    assert chosen.postponed == 0


def _dropped(clock: list[float], chosen: Any) -> None:
    """`b` is consumed, and no longer fits."""
    clock[0] += LATELY
    chosen.choose(allowed=ALL, fitting={"a", "b"}, idle=False, rested=True)
    assert chosen.active == {"a", "b"}
    chosen.choose(allowed=ALL, fitting={"a"}, idle=False)


def test_what_was_consumed_for_nothing_is_left_alone_for_longer_each_time(clock: list[float]) -> None:
    chosen = _chosen(clock[0], "a")
    for pause in (SETTLE, 2 * SETTLE, 4 * SETTLE):
        _dropped(clock, chosen)
        assert chosen.quiet_until("b") - clock[0] == pytest.approx(pause)
        chosen.choose(allowed=ALL, fitting={"a", "b"}, idle=True)
        assert chosen.active == {"a"}, "also in a moment in which nothing runs"
        assert chosen.postponed == pytest.approx(pause)
        clock[0] += pause
        chosen.choose(allowed=ALL, fitting={"a", "b"}, idle=False)
        assert chosen.active == {"a", "b"}
    for _ in range(10):
        _dropped(clock, chosen)
    assert chosen.quiet_until("b") - clock[0] == pytest.approx(LONGEST_QUIET)


def test_a_node_that_rests_consumes_everything(clock: list[float]) -> None:
    chosen = _chosen(clock[0], "a")
    _dropped(clock, chosen)
    chosen.choose(allowed=ALL, fitting={"a", "b"}, idle=True, rested=True)
    assert chosen.active == {"a", "b"}


def test_a_queue_that_brought_something_lately_or_has_something_is_not_left_alone(clock: list[float]) -> None:
    chosen = _chosen(clock[0], "a")
    clock[0] += LATELY
    chosen._heard["b"] = clock[0]
    clock[0] -= LATELY
    _dropped(clock, chosen)
    assert chosen.quiet_until("b") == 0
    _dropped(clock, chosen)
    assert chosen.quiet_until("b") > clock[0], "that is long ago"
    chosen.waiting({"a": 0, "b": 3})
    assert chosen.quiet_until("b") == 0
    _dropped(clock, chosen)
    assert chosen.quiet_until("b") == 0
    chosen.waiting({"b": 0})
    _dropped(clock, chosen)
    assert chosen.quiet_until("b") > clock[0]


def test_whatever_exchange_a_message_came_through_it_names_the_queue_that_was_consumed() -> None:
    name = f"mine-{uuid.uuid4()}"
    queue = Queue(name, Exchange(f"map-{name}", "topic"), routing_key="map.#")
    taken: list[Any] = []
    with Connection("memory://") as connection, connection.channel() as channel:
        consumer = Consumer(channel, [queue], on_message=taken.append)
        worker = SimpleNamespace(task_consumer=consumer, connection=connection, hostname="w@n1")
        chosen = Subscriptions(worker, lambda: None)
        chosen.connected()
        consumer.consume()
        Producer(channel).publish("hello", exchange=queue.exchange, routing_key="map.here")
        connection.drain_events(timeout=5)
        (message,) = taken
        message.ack()
    assert (message.delivery_info["routing_key"], message.delivery_info["queue"]) == ("map.here", name)
    assert name in chosen._heard, "so it is known that the queue has brought something"
