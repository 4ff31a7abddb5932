"""From which queue a message was taken.

A delivery tells its exchange and its routing key. Where the exchange is a topic, or has several queues,
neither is the name of the queue; the consumer that it came by knows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

QUEUE = "queue"
"""In `delivery_info` of a message, beside what the transport puts there."""


def name_queues(channel: Any, delivered: Callable[[str], None]) -> None:
    """Let every message that this channel delivers from now on carry the name of its queue, which `delivered`
    is told as well.
    """
    consume = channel.basic_consume

    def basic_consume(queue: str = "", *args: Any, callback: Any = None, **options: Any) -> Any:
        named = callback if callback is None else _naming(queue, callback, delivered)
        return consume(queue, *args, callback=named, **options)

    channel.basic_consume = basic_consume


def _naming(
    queue: str, callback: Callable[[Any], Any], delivered: Callable[[str], None]
) -> Callable[[Any], Any]:
    def deliver(message: Any) -> Any:
        delivered(queue)
        if isinstance(message.delivery_info, dict):
            message.delivery_info[QUEUE] = queue
        return callback(message)

    return deliver
