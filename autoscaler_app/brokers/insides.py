"""What kombu's transports do not promise, and the control side reaches into.

Each name is in the canary's table, `tests/unit/celery_resources/insides`.
"""

from __future__ import annotations

from typing import Any

from kombu import Connection
from kombu.exceptions import InconsistencyError

CUTS = ("_in_poll", "_disconnect_pools")


def cut_waits(connection: Connection) -> None:
    """Cut the sockets of the Redis channels of this connection.

    To close such a channel waits for the pop that is under way, for as long as the server is silent; there is
    no public way to leave one without waiting.
    """
    raw: Any = connection.connection if connection.connected else None
    for channel in getattr(raw, "channels", ()):
        if all(hasattr(channel, name) for name in CUTS):
            channel._in_poll = None
            channel._disconnect_pools()


def queues_for(channel: Any, exchange: str, routing_key: str) -> list[str]:
    """The queues that the transport would put a message in: it alone knows."""
    return list(channel._lookup(exchange, routing_key))


def list_of(channel: Any, message: Any, queue: str) -> str:
    """The Redis list in which this message would stand in this queue."""
    priority = channel._get_message_priority(message, reverse=False)
    return f"{channel.global_keyprefix}{channel._q_for_pri(queue, priority)}"


def table_of(channel: Any, exchange: str) -> list[tuple[str, str, str]]:
    """The bindings of an exchange: routing key, pattern, queue; empty where none are known."""
    try:
        return [tuple(row) for row in channel.get_table(exchange)]
    except InconsistencyError:
        return []
