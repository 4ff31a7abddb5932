"""A channel to Redis keeps the client by which it sends, which kombu makes anew for each command.

To make one is a tenth of what a worker's main process does for a task: redis-py fills a table with all the
commands that it knows. A client is no connection: it takes one of its pool for each command, and may be kept
for as long as the pool.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kombu.transport import redis as transport


def keep_clients() -> None:
    """From now on, in this process, for every connection of kombu to a Redis. May be called twice."""
    if not hasattr(transport.Channel._create_client, "keeps"):
        transport.Channel._create_client = _keeping(transport.Channel._create_client)


def _keeping(make: Callable[..., Any]) -> Callable[..., Any]:
    def _create_client(self: Any, asynchronous: bool = False) -> Any:
        if asynchronous:
            # By this one the worker waits for messages: it has a connection of its own.
            return make(self, asynchronous=True)
        kept = self.__dict__.get("kept_client")
        # After a lost connection, and in a child, the pool is another.
        if kept is None or kept.connection_pool is not self.pool:
            kept = self.kept_client = make(self)
        return kept

    _create_client.keeps = True  # type: ignore[attr-defined]
    return _create_client
