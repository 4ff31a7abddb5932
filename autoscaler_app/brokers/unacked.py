"""The messages that Redis has delivered and that were not acknowledged, and giving them back.

They are in one hash for all queues, tag -> [message, exchange, routing key]; a second key, a sorted set, has
the time of each delivery. Who has taken a message is not written anywhere.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import redis
from celery import Celery
from kombu.utils.json import dumps, loads

from autoscaler_app.brokers.connection import Deadline
from autoscaler_app.brokers.insides import list_of, queues_for, table_of

log = logging.getLogger(__name__)

BATCH = 200
"""Messages read in one round trip."""

GIVE_BACK = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return 0
end
for queue = 3, #KEYS do
  local kind = redis.call('TYPE', KEYS[queue])['ok']
  if kind ~= 'list' and kind ~= 'none' then
    return 0
  end
end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
for queue = 3, #KEYS do
  redis.call('RPUSH', KEYS[queue], ARGV[3])
end
return 1
"""
"""From the hash to the head of the queue, in one step, and only if it is still there as it was read.

To the queue that it came from: each queue of an exchange got a message of its own, of which others may run.
(They have one tag in common, and so one place in the hash.)

kombu watches the hash and tries again: on a busy broker it changes with every task that ends.
"""


class Unacked:
    """The unacknowledged messages that one channel sees. Raises what redis-py raises."""

    def __init__(self, app: Celery, channel: Any, deadline: Deadline) -> None:
        self._channel = channel
        self._deadline = deadline
        self._client: Any = redis.Redis(connection_pool=channel.pool)
        self._hash = f"{channel.global_keyprefix}{channel.unacked_key}"
        self._index = f"{channel.global_keyprefix}{channel.unacked_index_key}"
        # An exchange's type decides where a message goes back to. On Redis a declaration is only local
        # knowledge, nothing is written.
        self._known: set[str] = set()
        for queue in app.amqp.queues.values():
            if queue.exchange and queue.exchange.name:
                channel.exchange_declare(exchange=queue.exchange.name, type=queue.exchange.type)
                self._known.add(queue.exchange.name)

    def count(self) -> int:
        """How many there are."""
        return int(self._client.hlen(self._hash))

    def tags(self) -> frozenset[str]:
        """Their delivery tags. Cheap: no message is read."""
        return frozenset(tag.decode() for tag in self._client.hkeys(self._hash))

    def task_ids(self, tags: Collection[str]) -> dict[str, str]:
        """The task of each of these that is still there; empty for what is no task."""
        return {tag: _task_id(value) for tag, value in self._read(tags)}

    def of_tasks(self, task_ids: frozenset[str]) -> dict[str, str]:
        """The delivery tags of these tasks, each with its task."""
        found: dict[str, str] = {}
        if not task_ids:
            return found
        for tag, value in self._client.hscan_iter(self._hash, count=BATCH):
            self._deadline.check()
            if (task := _task_id(value)) in task_ids:
                found[tag.decode()] = task
        return found

    def give_back(self, tags: Iterable[str], queues: Mapping[str, Collection[str]]) -> int:
        """Put these at the head of their queues, marked as redelivered; how many were still there.

        `queues`: by tag, from which it was taken. Where nobody said so, it is the one that its exchange
        would send it to; of several, nobody knows which, and it stays where it is.
        """
        script = self._client.register_script(GIVE_BACK)
        count = 0
        for tag, value in self._read(list(tags)):
            message, exchange, routing_key = loads(value.decode())
            named = sorted(queues.get(tag, ()))
            found = named or self._bound(exchange, routing_key)
            if len(found) != 1 and not named:
                log.warning(
                    "%s queues are bound for %s with %s, and nobody said from which one the message was "
                    "taken: left where it is",
                    *(len(found), exchange, routing_key),
                )
                continue
            keys = [list_of(self._channel, message, queue) for queue in found]
            count += script(keys=[self._hash, self._index, *keys], args=[tag, value, _redelivered(message)])
        return count

    def _bound(self, exchange: str, routing_key: str) -> list[str]:
        """The queues that this exchange would send it to. Of an exchange that we do not know the table of its
        bindings tells the kind: only a topic's have patterns.
        """
        if exchange and exchange not in self._known:
            rows = table_of(self._channel, exchange)
            kind = "topic" if any(pattern for _, pattern, _ in rows) else "direct"
            self._channel.exchange_declare(exchange=exchange, type=kind)
            self._known.add(exchange)
        return queues_for(self._channel, exchange, routing_key)

    def _read(self, tags: Collection[str]) -> Iterator[tuple[str, bytes]]:
        names = list(tags)
        for start in range(0, len(names), BATCH):
            self._deadline.check()
            batch = names[start : start + BATCH]
            values = self._client.hmget(self._hash, batch)
            yield from ((tag, value) for tag, value in zip(batch, values, strict=True) if value is not None)


def _redelivered(message: Mapping[str, Any]) -> str:
    """The message as kombu would send it once more."""
    properties = message["properties"]
    return dumps(
        {
            **message,
            "headers": {**message["headers"], "redelivered": True},
            "properties": {
                **properties,
                "delivery_info": {**properties["delivery_info"], "redelivered": True},
            },
        }
    )


def _task_id(value: bytes) -> str:
    try:
        return str(loads(value.decode())[0]["headers"]["id"])
    except (ValueError, KeyError, TypeError, IndexError):
        return ""  # no task: a control message or another program's
