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
from autoscaler_app.brokers.insides import lists_of

log = logging.getLogger(__name__)

BATCH = 200
"""Messages read in one round trip."""

GIVE_BACK = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return 0
end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
for queue = 3, #KEYS do
  redis.call('RPUSH', KEYS[queue], ARGV[3])
end
return 1
"""
"""From the hash to the head of the queue, in one step, and only if it is still there as it was read.

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
        for queue in app.amqp.queues.values():
            if queue.exchange and queue.exchange.name:
                channel.exchange_declare(exchange=queue.exchange.name, type=queue.exchange.type)

    def count(self) -> int:
        """How many there are."""
        return int(self._client.hlen(self._hash))

    def tags(self) -> frozenset[str]:
        """Their delivery tags. Cheap: no message is read."""
        return frozenset(tag.decode() for tag in self._client.hkeys(self._hash))

    def task_ids(self, tags: Collection[str]) -> dict[str, str]:
        """The task of each of these that is still there; empty for what is no task."""
        return {tag: _task_id(value) for tag, value in self._read(tags)}

    def of_tasks(self, task_ids: frozenset[str]) -> list[str]:
        """The delivery tags of these tasks."""
        found = []
        for tag, value in self._client.hscan_iter(self._hash, count=BATCH):
            self._deadline.check()
            if _task_id(value) in task_ids:
                found.append(tag.decode())
        return found

    def give_back(self, tags: Iterable[str]) -> int:
        """Put these at the head of their queues, marked as redelivered; how many were still there."""
        script = self._client.register_script(GIVE_BACK)
        count = 0
        for tag, value in self._read(list(tags)):
            message, exchange, routing_key = loads(value.decode())
            queues = lists_of(self._channel, message, exchange, routing_key)
            if not queues:
                log.warning(
                    "no queue is bound for %s with %s: message left where it is", exchange, routing_key
                )
                continue
            count += script(keys=[self._hash, self._index, *queues], args=[tag, value, _redelivered(message)])
        return count

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
