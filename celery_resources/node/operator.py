"""What an operator says by Celery's own commands, `add_consumer` and `cancel_consumer`.

It holds over what the node was told to join, until the worker ends, as in plain Celery; a fence and a gang
hold over it. Celery's way of doing it, behind the gate's back, would be undone by the gate at the next task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from celery.utils.log import get_logger

from celery_resources.need.naming import is_derived

logger = get_logger(__name__)


class Operator:
    """Which queues were added and cancelled by hand."""

    def __init__(self, consumer: Any, changed: Callable[[], None]) -> None:
        self._consumer = consumer
        self._changed = changed
        self._added: dict[str, None] = {}
        self._cancelled: set[str] = set()

    def listen(self) -> None:
        """Be asked in the consumer's place, by whoever adds or cancels a queue."""
        self._consumer.add_task_queue = self.add
        self._consumer.cancel_task_queue = self.cancel

    def add(
        self,
        queue: str,
        exchange: str | None = None,
        exchange_type: str | None = None,
        routing_key: str | None = None,
        **options: Any,
    ) -> None:
        """As the consumer's `add_task_queue`: serve this queue too, as far as its kind fits."""
        queues = self._consumer.app.amqp.queues
        if queue not in queues and is_derived(queue) and exchange is None:
            queues.add(queues.new_missing(queue))  # as whoever sends to it makes it
        elif queue not in queues:
            where = {"exchange": exchange or queue, "exchange_type": exchange_type or "direct"}
            queues.add(queue, routing_key=routing_key, **where, **options)
        self._cancelled.discard(queue)
        self._added[queue] = None
        logger.info("told to consume from %s", queue)
        self._changed()

    def cancel(self, queue: str) -> None:
        """As the consumer's `cancel_task_queue`: serve it no more, whoever says `join`."""
        name = getattr(self._consumer.app.amqp.queues.aliases.get(queue), "name", queue)
        self._cancelled.add(name)
        logger.info("told to consume no more from %s", name)
        self._changed()

    def agreed(self, queues: Iterable[str]) -> list[str]:
        """Of what the node would serve, and what was added, that which was not cancelled; in this order."""
        return [queue for queue in dict.fromkeys([*queues, *self._added]) if queue not in self._cancelled]
