"""Tokens for messages that a stock producer has put: it leaves none.

The server tells who has read a key that it has changed since (`CLIENT TRACKING`), once for each time that it
was read. So one process of those that consume a queue reads the lengths of its lists, is told when one
changes, reads again, and leaves a token where something is. One, and not all: all of them would come running
for each message. Where the server does not do this, or may not for us, whoever waits looks once a second.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Sequence
from typing import Any

import redis

from redis_keeper.layout import Layout
from redis_keeper.scripts import LOOK, POST

log = logging.getLogger(__name__)

CHANNEL = "__redis__:invalidate"
"""On which the server tells it."""
GAP = 0.005
"""Seconds between two looks. A queue that changes more often is a busy one, and has its token."""


def own_connection(pool: Any) -> Any:
    """As those of the pool, which does not count it and gives it to nobody else. Not connected yet."""
    return pool.connection_class(**pool.connection_kwargs)


class Sentry:
    """Looks at the queues that are this process's to look at."""

    def __init__(self, layout: Layout, pool: Any, consumer: str) -> None:
        self._layout = layout
        self._pool = pool
        self._consumer = consumer
        self._connection: Any = None
        self._queues: Sequence[str] = ()
        self._looked = 0.0

    def mount(self, listener: int) -> None:
        """From now on the server tells this connection (its number), which listens to `CHANNEL`."""
        self.close()
        connection = own_connection(self._pool)
        try:
            connection.connect()
            connection.send_command("CLIENT", "TRACKING", "ON", "REDIRECT", listener)
            connection.read_response()
        except redis.ResponseError as error:
            log.info("the server does not tell of changes (%s): who waits looks once a second", error)
            connection.disconnect()
            return
        self._connection = connection

    def stand(self, client: Any, queues: Sequence[str], seconds: float) -> None:
        """Of these, look at those that nobody else looks at, for so long; and now."""
        if self._connection is None or not queues:
            return
        posts = [self._layout.sentry(queue) for queue in queues]
        mine = POST(client, posts, [self._consumer, int(seconds * 1000)])
        self._queues = [queues[number] for number in mine]
        self.look()

    def look(self) -> None:
        """Something has changed."""
        if self._connection is None or not self._queues:
            return
        if (left := self._looked + GAP - time.monotonic()) > 0:
            time.sleep(left)
        self._looked = time.monotonic()
        keys: list[str] = []
        for queue in self._queues:
            keys += [self._layout.wake(queue), *self._layout.lists([queue])]
        command = LOOK.command(keys, [len(self._layout.steps)])
        try:
            self._connection.send_command(*command)
            self._connection.read_response()
        except redis.exceptions.NoScriptError:
            self._connection.send_command("SCRIPT", "LOAD", LOOK.text)
            self._connection.read_response()

    def close(self) -> None:
        """It looks no more."""
        if self._connection is not None:
            with contextlib.suppress(redis.RedisError, OSError):
                self._connection.disconnect()
            self._connection = None

    @property
    def connections(self) -> Sequence[Any]:
        """What a child of a fork has a copy of."""
        return [] if self._connection is None else [self._connection]
