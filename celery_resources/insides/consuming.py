"""From which queue a message was taken.

A delivery tells its exchange and its routing key. Where the exchange is a topic, or has several queues,
neither is the name of the queue; the consumer that it came by knows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, MutableMapping
from typing import Any

QUEUE = "queue"
"""In `delivery_info` of a message, beside what the transport puts there."""


def name_queues(channel: Any, heard: MutableMapping[str, float], credits: MutableMapping[str, int]) -> None:
    """Let every message that this channel delivers from now on carry the name of its queue. `heard` is when
    each brought one last (monotonic), `credits` how many more it may bring, of those that it names.
    """
    consume = channel.basic_consume

    def basic_consume(queue: str = "", *args: Any, callback: Any = None, **options: Any) -> Any:
        named = callback if callback is None else _naming(queue, callback, heard, credits)
        return consume(queue, *args, callback=named, **options)

    channel.basic_consume = basic_consume


def _naming(
    queue: str,
    callback: Callable[[Any], Any],
    heard: MutableMapping[str, float],
    credits: MutableMapping[str, int],
) -> Callable[[Any], Any]:
    now = time.monotonic

    def deliver(message: Any) -> Any:
        heard[queue] = now()
        if queue in credits:
            credits[queue] -= 1
        if message.delivery_info is not None:
            message.delivery_info[QUEUE] = queue
        return callback(message)

    return deliver
