"""How many messages wait in a queue, asked in the way that every broker answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def messages_waiting(app: Any, queues: Iterable[str]) -> dict[str, int]:
    """Messages that wait in each queue. A queue that does not exist has none.

    Over a connection of its own: asking for one that does not exist closes a RabbitMQ channel.
    """
    found = {}
    with app.connection_for_read() as connection:
        for queue in queues:
            try:
                with connection.channel() as channel:
                    found[queue] = int(channel.queue_declare(queue, passive=True).message_count)
            except connection.channel_errors:
                found[queue] = 0
    return found
