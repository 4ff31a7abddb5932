"""A message tells from which queue it was taken."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from celery_resources.insides.consuming import name_queues
from celery_resources.room.books import queue_of


class Channel:
    """As kombu's: who consumes is called back with each message."""

    def __init__(self) -> None:
        self.callbacks: dict[str, Any] = {}

    def basic_consume(self, queue: str, no_ack: bool, callback: Any, consumer_tag: str) -> str:
        self.callbacks[queue] = callback
        return consumer_tag


def test_a_message_that_came_through_an_exchange_names_its_queue() -> None:
    channel, taken, heard, credits = Channel(), list[Any](), dict[str, float](), {"q": 3}
    name_queues(channel, heard, credits)
    tag = channel.basic_consume(queue="q", no_ack=False, callback=taken.append, consumer_tag="1")
    assert tag == "1"
    info = {"exchange": "map", "routing_key": "map.here"}
    channel.callbacks["q"](SimpleNamespace(delivery_info=dict(info)))
    (message,) = taken
    assert (heard.keys(), credits) == ({"q"}, {"q": 2})
    request = SimpleNamespace(message=message, delivery_info=info)
    assert queue_of(request) == "q"
    assert queue_of(SimpleNamespace(message=SimpleNamespace(), delivery_info=info)) == "map.here"
