"""A control worker does not wait for ever for the acknowledgement of what it has done."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker import state
from kombu import Connection, Consumer, Queue

from autoscaler_app.worker.stuck import EVERY, NoticesThatNothingComes


@pytest.fixture
def consumer() -> Iterator[Any]:
    """A consumer of a credit of one that has taken a message, over kombu's own bookkeeping."""
    with Connection(f"memory://{id(object())}") as connection, connection.channel() as channel:
        channel.basic_qos(0, 1, False)
        with Consumer(channel, [Queue("control")], callbacks=[lambda body, message: None]) as taking:
            yield SimpleNamespace(task_consumer=taking)


def take_one(consumer: Any) -> Any:
    taken: list[Any] = []
    consumer.task_consumer.callbacks = [lambda body, message: taken.append(message)]
    channel = consumer.task_consumer.channel
    channel.basic_publish(channel.prepare_message("x"), "", "control")
    consumer.task_consumer.channel.connection.client.drain_events(timeout=1)
    return taken[0]


def test_what_was_taken_and_is_nowhere_any_more_makes_it_connect_anew(consumer: Any) -> None:
    step = NoticesThatNothingComes(consumer)
    step.start(consumer)
    step.look()
    message = take_one(consumer)
    step.look()
    with pytest.raises(ConnectionResetError, match="could not be acknowledged"):
        step.look()
    assert issubclass(ConnectionResetError, OSError)
    assert OSError in Connection("redis://").connection_errors, "so the loop connects anew"
    step.start(consumer)
    step.look()
    message.ack()
    step.look()
    step.look()


def test_what_runs_is_not_stuck(consumer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    step = NoticesThatNothingComes(consumer)
    take_one(consumer)
    monkeypatch.setattr(state, "requests", {"id": object()})
    for _ in range(3):
        step.look()


def test_between_two_connections_and_on_rabbitmq_there_is_nothing_to_see() -> None:
    for nothing in (None, SimpleNamespace(channel=SimpleNamespace())):
        step = NoticesThatNothingComes(SimpleNamespace(task_consumer=nothing))
        step.look()
        step.look()


def test_it_looks_again_and_again_on_every_connection() -> None:
    asked: list[Any] = []
    step = NoticesThatNothingComes(SimpleNamespace())
    step.register_with_event_loop(None, SimpleNamespace(call_repeatedly=lambda *args: asked.append(args)))
    assert asked == [(EVERY, step.look)]
