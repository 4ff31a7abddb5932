"""Speaking to RabbitMQ without waiting for its answers.

By default a declaration, a consume, a cancel and a change of the credit each wait for the broker, a
millisecond on an idle machine and many on a busy one, while the worker's event loop stands still; and
deliveries are handled from within that wait. The answers say nothing that is needed: a channel is served in
order.

A queue may be deleted at any time. RabbitMQ refuses to let a queue be consumed that is not there, and then
closes the channel; so a queue is declared before each consume. And it ends the consumers of a queue that is
deleted; Celery would connect anew for that, and what runs here would run again elsewhere.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from amqp import Channel, spec

REMEMBERED = 60.0
"""Seconds for which a message may still come to a consumer that was cancelled."""


class Unwaited:
    """Makes one AMQP channel send without waiting. Other channels are left as they are."""

    def __init__(self, channel: Any, lost: Callable[[str], None]) -> None:
        """`lost` is told the queue when the broker ends a consumer, most likely because that was deleted."""
        self._channel: Any = channel if isinstance(channel, Channel) else None
        self._lost = lost
        self._consumed: dict[str, str] = {}
        self._is_told_to_consume = False
        self._cancelled: deque[tuple[float, str]] = deque()
        if self._channel is not None:
            self._basic_cancel, self._basic_consume = channel.basic_cancel, channel.basic_consume
            channel.basic_cancel = self._cancel
            channel.basic_consume = self._consume
            channel.basic_qos = self._qos

    @property
    def is_on(self) -> bool:
        """Is this an AMQP channel?"""
        return self._channel is not None

    def declare(self, queue: Any, *, bind: bool = True) -> None:
        """Have the broker make this queue, and what binds it, unless it is there."""
        # Only who asked to be told about it needs the answer.
        if bind or queue.on_declared is not None:
            queue.declare(nowait=queue.on_declared is None)
        elif not queue.no_declare:
            queue.queue_declare(nowait=True)

    def consume(self, consumer: Any) -> None:
        """Begin with the queues that are new. When Celery itself begins with all, it waits: then it is the
        only one to hear of an error, for right after that it lets none out of what it reads.
        """
        self._is_told_to_consume = True
        try:
            consumer.consume()
        finally:
            self._is_told_to_consume = False

    def catch_up(self) -> None:
        """Handle everything that the broker sent before it learned of our last word."""
        if self._channel is not None:
            # Changes nothing, and is answered. After the first answer the broker has heard us and has
            # together what it still sends; that comes before the second.
            self._channel.flow(True)
            self._channel.flow(True)

    def _cancel(self, consumer_tag: str, **options: Any) -> None:
        self._basic_cancel(consumer_tag, **{**options, "nowait": True})
        self._consumed.pop(consumer_tag, None)
        # The channel keeps every callback for as long as it lives; here they are many. Should a message come
        # even later, then the channel gives it back.
        now = time.monotonic()
        self._cancelled.append((now, consumer_tag))
        while self._cancelled[0][0] < now - REMEMBERED:
            old = self._cancelled.popleft()[1]
            self._channel.callbacks.pop(old, None)
            self._channel.cancel_callbacks.pop(old, None)

    def _consume(self, queue: str = "", consumer_tag: str = "", **options: Any) -> Any:
        if self._is_told_to_consume:
            options["nowait"] = True
        tag = self._basic_consume(queue, consumer_tag, **{**options, "on_cancel": self._ended_by_broker})
        self._consumed[tag] = queue
        return tag

    def _ended_by_broker(self, consumer_tag: str) -> None:
        queue = self._consumed.pop(consumer_tag, None)
        # Else we have cancelled it ourselves meanwhile.
        if queue is not None:
            self._lost(queue)

    def _qos(self, prefetch_size: int, prefetch_count: int, a_global: bool) -> None:
        # An answer that nobody waits for is dropped by the channel.
        self._channel.send_method(spec.Basic.Qos, "lBb", (prefetch_size, prefetch_count, a_global))
