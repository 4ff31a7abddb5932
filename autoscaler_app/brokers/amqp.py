"""RabbitMQ, classic and quorum queues (and kombu's in-memory transport, which answers the same question).

A passive declare tells how many messages are ready. A queue that does not exist answers 404 and the server
closes the channel with it, so each such answer costs as much as twenty others.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any

from celery import Celery
from kombu.exceptions import ChannelError

from autoscaler_app.brokers.broker import Consumers, Depth, InLine
from autoscaler_app.brokers.connection import Deadline, brief_connection
from autoscaler_app.brokers.errors import BrokerUnsupported
from autoscaler_app.brokers.management import Management

FOR_MISSING = 0.2
"""The part of the time for one question that may be spent on queues that are not there."""

NOT_FOUND = "404"  # a number from RabbitMQ, text from the emulated transports


class AmqpBroker:
    """A server that is asked by passive declare."""

    def __init__(self, app: Celery, *, timeout: float, management: Management | None = None) -> None:
        self._app = app
        self._timeout = timeout
        self._management = management
        self._missing: dict[str, float] = {}
        """Queues that were not there when they were last asked for, and when that was."""
        self._there: set[str] = set()
        """Those that were."""

    def depths(self, queues: Collection[str]) -> Mapping[str, Depth]:
        """Ready messages. AMQP offers no look at a message without taking it, so ages stay unknown."""
        deadline = Deadline(self._timeout, f"reading the length of {len(queues)} queues")
        found: dict[str, Depth] = {}
        with brief_connection(self._app, deadline) as connection:
            channel = connection.channel()
            spent = 0.0
            for queue in sorted(queues, key=lambda queue: (queue not in self._there, self._since(queue))):
                if spent > FOR_MISSING * deadline.seconds and queue not in self._there:
                    # Its turn comes: whoever announces queues that nobody makes is to hold up nobody.
                    if queue in self._missing:
                        found[queue] = Depth(waiting=0)
                    continue
                if not deadline.left:
                    break
                self._missing.pop(queue, None)
                self._there.discard(queue)
                left = deadline.left
                try:
                    found[queue] = Depth(waiting=_ready(channel, queue))
                    self._there.add(queue)
                except ChannelError as error:
                    spent += left - deadline.left
                    # Any such answer closes the channel, and py-amqp opens it again under its number. A new
                    # one each time would be one too many some day: a connection has 2,047 of them.
                    if not getattr(channel, "is_open", True):
                        channel = connection.channel()
                    # Another than 404 concerns this queue alone.
                    if str(error.reply_code) == NOT_FOUND:
                        found[queue] = Depth(waiting=0)
                        self._missing[queue] = time.monotonic()
        if queues and not found:
            deadline.check()
        self._missing = {queue: when for queue, when in self._missing.items() if queue in found}
        self._there &= found.keys()
        return found

    def _since(self, queue: str) -> float:
        """Since when it is known to be missing; 0 if it is not."""
        return self._missing.get(queue, 0.0)

    def in_line(self, task_id: str, queues: Collection[str]) -> InLine | None:
        """AMQP has no look at a message without taking it, and who takes one moves it."""
        raise BrokerUnsupported(
            f"RabbitMQ does not show which queue task {task_id} waits in; ask for the queue itself (--queue)"
        )

    def dangers(self) -> tuple[str, ...]:
        """AMQP does not tell the settings of the server; of one that repeats work most have the default."""
        return (
            "RabbitMQ takes back a message that is not acknowledged within its consumer_timeout (30 min "
            "unless set otherwise), and the task runs a second time: set it above your longest task "
            "(rabbitmq.conf: consumer_timeout = 172800000)",
        )

    def unacked(self) -> int | None:
        """AMQP itself does not tell; the management plugin does, if one is named."""
        return None if self._management is None else self._management.unacked()

    def unacked_tags(self) -> frozenset[str]:
        """None to look after: the server gives back what a closed connection had not acknowledged."""
        return frozenset()

    def task_ids(self, tags: Collection[str]) -> Mapping[str, str]:
        """There are no tags to ask for."""
        return {}

    def give_back(self, tags: Collection[str], queues: Mapping[str, Collection[str]] | None = None) -> int:
        """Nothing to do, for the same reason."""
        return 0

    def consumers(self) -> Consumers | None:
        """Not asked: nothing is given back here."""
        return None

    def give_back_tasks(
        self, task_ids: Collection[str], queues: Mapping[str, Collection[str]] | None = None
    ) -> int:
        """Nothing to do: the server gives back what a closed connection had not acknowledged."""
        return 0


def _ready(channel: Any, queue: str) -> int:
    """Messages ready in a queue. Raises ChannelError if there is none of this name, or it may not be read."""
    return int(channel.queue_declare(queue, passive=True).message_count)
