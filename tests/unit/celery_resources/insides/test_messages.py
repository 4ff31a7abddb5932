"""Giving back on Redis: to the end of the list that is served next, and settled for everybody here."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from kombu.transport.virtual import QoS

from celery_resources.insides.messages import put_in_front


class RedisQoS(QoS):
    """The books of a Redis channel, as far as giving back goes."""

    restore_at_shutdown = False

    def __init__(self) -> None:
        super().__init__(SimpleNamespace())
        self.put_back: list[tuple[str, bool]] = []

    def restore_by_tag(self, tag: str, client: Any = None, leftmost: bool = False) -> None:
        self.put_back.append((tag, leftmost))


def test_a_message_is_put_where_the_next_one_is_taken_and_is_settled() -> None:
    qos = RedisQoS()
    message: Any = SimpleNamespace(channel=SimpleNamespace(qos=qos), delivery_tag="t1", _state="RECEIVED")
    qos.append(message, "t1")
    assert put_in_front(message)
    # kombu pushes to the left and pops from the right.
    assert qos.put_back == [("t1", False)]
    assert message._state == "REQUEUED"
    qos._flush()
    assert list(qos._delivered) == [], "closing the channel would restore it once more"


def test_a_broker_that_puts_it_in_front_by_itself_is_left_alone() -> None:
    message: Any = SimpleNamespace(channel=SimpleNamespace(qos=None), delivery_tag=1, _state="RECEIVED")
    assert not put_in_front(message)
    assert message._state == "RECEIVED"
