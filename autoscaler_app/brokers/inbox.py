"""The queue of notes, read many at a time, by one reader: the control worker.

Not by Celery's consumer: that takes one message a task, and one element of a Redis list that is no message
ends the process that reads it. What is taken stays in the broker until it is remembered, so a note may come
twice and is never lost.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import redis
from celery import Celery
from kombu import Consumer
from kombu.exceptions import ChannelError

from autoscaler_app.brokers.connection import Deadline, brief_connection, kind_of
from celery_resources.sending.notes import definition

AT_MOST = 500
"""Notes taken at once."""
HEARTBEAT = 10
"""Seconds; AMQP's own."""
WAIT = 5.0
"""Seconds within which the broker has to answer."""
TURN = 1.0
"""Seconds for which a reader waits for the first note."""


class Inbox(Protocol):
    """Notes as they lie in the broker."""

    def take(self) -> list[bytes]:
        """The next bodies, at most `AT_MOST`; none if none came in `TURN` seconds. May raise BrokerError."""

    def done(self) -> None:
        """What was taken is remembered: the broker may forget it."""


@contextmanager
def open_inbox(app: Celery, control_queue: str) -> Iterator[Inbox]:
    """The notes of this control queue, as long as the connection holds. Raises BrokerError.

    The queue is declared here, in our own way; one that was made in another way is read all the same.
    """
    is_redis = kind_of(app) == "redis"
    with brief_connection(
        app, Deadline(WAIT, "opening the queue of notes"), heartbeat=HEARTBEAT
    ) as connection:
        queue = definition(control_queue)
        if is_redis:
            yield _RedisInbox(connection.default_channel, queue.name)
            return
        with contextlib.closing(_declared(connection, queue)) as channel:
            yield _AmqpInbox(connection, channel, queue)


def _declared(connection: Any, queue: Any) -> Any:
    """A channel on which the queue is known to be there."""
    channel = connection.channel()
    try:
        queue(channel).queue_declare()
    except ChannelError:
        # There is one, made in another way (a policy, a person), or it may not be configured: if it is there
        # it serves as well.
        channel = connection.channel()
        queue(channel).queue_declare(passive=True)
    return channel


class _AmqpInbox:
    def __init__(self, connection: Any, channel: Any, queue: Any) -> None:
        self._connection = connection
        self._taken: list[Any] = []
        channel.basic_qos(0, AT_MOST, False)
        self._consumer = Consumer(
            channel,
            [queue],
            auto_declare=False,
            accept=None,
            on_message=self._taken.append,
            # What kombu cannot unpack comes as it is: else it would end each reader and come again, for ever.
            on_decode_error=lambda message, error: self._taken.append(message),
            no_ack=False,
        )
        self._consumer.consume()

    def take(self) -> list[bytes]:
        # The first may be waited for, what else is there already comes along.
        wait = TURN
        while len(self._taken) < AT_MOST:
            try:
                self._connection.drain_events(timeout=wait)
            except TimeoutError:
                break
            wait = 0.005
        self._connection.heartbeat_check()
        return [_bytes(message.body) for message in self._taken]

    def done(self) -> None:
        for message in self._taken:
            message.ack()
        self._taken.clear()


class _RedisInbox:
    """Moves notes into a list of its own, and empties that when they are remembered.

    The list is kombu's layout (see `redis.py`): next on the right. What an earlier reader had moved and not
    remembered is taken first.
    """

    def __init__(self, channel: Any, queue: str) -> None:
        self._client = redis.Redis(connection_pool=channel.pool)
        self._queue = f"{channel.global_keyprefix}{queue}"
        self._taken = f"{self._queue}.taken"
        self._count = 0

    def take(self) -> list[bytes]:
        found = self._client.lrange(self._taken, 0, -1)
        if not found:
            first = self._client.brpoplpush(self._queue, self._taken, timeout=TURN)
            if first is None:
                return []
            pipe = self._client.pipeline(transaction=False)
            for _ in range(AT_MOST - 1):
                pipe.rpoplpush(self._queue, self._taken)
            pipe.execute()
            found = self._client.lrange(self._taken, 0, -1)
        self._count = len(found)
        return [_body(_bytes(element)) for element in reversed(found)]

    def done(self) -> None:
        # By their number: should there be another reader for a moment, what it moved since stays.
        if self._count:
            self._client.ltrim(self._taken, 0, -self._count - 1)
        self._count = 0


def _body(element: bytes) -> bytes:
    """The body of kombu's envelope; an element that is none, as it is."""
    try:
        envelope = json.loads(element)
        body = envelope["body"]
        if envelope["properties"].get("body_encoding") == "base64":
            return base64.b64decode(body)
        return _bytes(body)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return element


def _bytes(body: object) -> bytes:
    return body if isinstance(body, bytes) else str(body).encode(errors="replace")
