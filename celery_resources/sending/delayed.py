"""Tasks with a countdown or an ETA on RabbitMQ's quorum queues, which wait in the broker and not in a worker.

Celery binds the queues that a worker knows at its start to the exchanges in which such messages wait. A queue
of a kind comes later, maybe before there is any worker at all: so who sends its first task binds it.
"""

from __future__ import annotations

from typing import Any

from celery.utils.quorum_queues import detect_quorum_queues
from kombu.transport.native_delayed_delivery import (
    bind_queue_to_native_delayed_delivery_exchange,
    declare_native_delayed_delivery_exchanges_and_queues,
)


class Delays:
    """Binds queues to the broker's delays, where Celery uses them."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._are_declared = False

    def bind(self, queue: str) -> None:
        """Let what is sent to this queue for later arrive there. Cheap where there is nothing to do."""
        found = self._app.amqp.queues[queue]
        if found.exchange is None or found.exchange.type == "direct":
            # Celery has a worker wait for the time there.
            return
        with self._app.connection_for_write() as connection:
            if not detect_quorum_queues(self._app, connection.transport.driver_type)[0]:
                return
            if not self._are_declared:
                kind = self._app.conf.broker_native_delayed_delivery_queue_type
                declare_native_delayed_delivery_exchanges_and_queues(connection, kind)
                self._are_declared = True
            found(connection.default_channel).declare()
            bind_queue_to_native_delayed_delivery_exchange(connection, found)
