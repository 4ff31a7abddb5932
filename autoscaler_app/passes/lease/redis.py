"""The lease on Redis: one key that expires, with the name of its owner."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from celery import Celery

from autoscaler_app.brokers.connection import Deadline, brief_connection
from autoscaler_app.passes.lease.claim import LEASE

HOLD = """
local held = redis.call('GET', KEYS[1])
if not held then
  redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2], 'NX', 'PX', ARGV[3])
  return ''
end
if string.sub(held, 1, #ARGV[1] + 1) == ARGV[1] .. ' ' then
  redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2], 'PX', ARGV[3])
  return ''
end
return held
"""
"""Taken if it is free, kept if it is ours. The owner comes first and has no space in it."""

LET_GO = """
local held = redis.call('GET', KEYS[1])
if held and string.sub(held, 1, #ARGV[1] + 1) == ARGV[1] .. ' ' then
  redis.call('DEL', KEYS[1])
end
"""


class RedisClaim:
    """A key, kept alive by asking again."""

    def __init__(self, app: Celery, *, name: str, seconds: float) -> None:
        self._app, self._name, self._seconds = app, name, seconds

    @property
    def valid_for(self) -> float:
        """As long as the key lives."""
        return self._seconds

    def hold(self, owner: str) -> str:
        """One script: between a look and a deed nobody else comes."""
        with self._client("asking for the lease") as (client, key):
            milliseconds = int(self._seconds * 1000)
            return _named(client.eval(HOLD, 1, key, _word(owner), self._name, milliseconds))

    def who(self) -> str:
        """The name in the key."""
        with self._client("asking who has the lease") as (client, key):
            return _named(client.get(key))

    def let_go(self, owner: str) -> None:
        """Not the one that somebody else has got meanwhile."""
        with self._client("giving up the lease") as (client, key):
            client.eval(LET_GO, 1, key, _word(owner))

    @contextmanager
    def _client(self, what: str) -> Iterator[tuple[Any, str]]:
        deadline = Deadline(max(1.0, self._seconds / 2), what)
        with brief_connection(self._app, deadline, write=True) as connection:
            channel = connection.default_channel
            # Not kombu's client: keys are prefixed here, as everywhere in this program.
            yield redis.Redis(connection_pool=channel.pool), f"{channel.global_keyprefix}{LEASE}"


def _word(owner: str) -> str:
    return owner.replace(" ", "-")


def _named(held: bytes | str | None) -> str:
    text = held.decode(errors="replace") if isinstance(held, bytes) else held or ""
    return text.partition(" ")[2] or text
