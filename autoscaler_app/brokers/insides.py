"""What kombu's transports do not promise, and the control side reaches into.

Each name is in the canary's table, `tests/unit/celery_resources/insides`.
"""

from __future__ import annotations

from typing import Any

from kombu import Connection

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


def lists_of(channel: Any, message: Any, exchange: str, routing_key: str) -> list[str]:
    """The Redis lists that this message would be put in: as the transport does it, which alone knows."""
    priority = channel._get_message_priority(message, reverse=False)
    return [
        f"{channel.global_keyprefix}{channel._q_for_pri(queue, priority)}"
        for queue in channel._lookup(exchange, routing_key)
    ]
