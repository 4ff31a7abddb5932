"""Tasks with a countdown or an ETA on RabbitMQ's quorum queues, which wait in the broker and not in a worker.

Celery binds the queues that a worker knows at its start to the exchanges in which such messages wait. A queue
of a kind comes later, maybe before there is any worker at all: so who sends its first task binds it.

Nor does the broker tell for which queue such a message waits. So where there is a control side, it is told of
each by the event `task-sent`, which Celery sends by itself only where `task_send_sent_event` is on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery.app.amqp import task_message
from celery.utils.quorum_queues import detect_quorum_queues
from kombu.transport.native_delayed_delivery import (
    bind_queue_to_native_delayed_delivery_exchange,
    declare_native_delayed_delivery_exchanges_and_queues,
)

EXCHANGES = "celery_delayed_"
"""How the names of those begin in which messages wait."""


def telling_of_delays(send: Callable[..., Any]) -> Callable[..., Any]:
    """Celery's own way of sending, which tells what will wait in the broker for its time."""

    def send_task_message(producer: Any, name: str, message: Any, **options: Any) -> Any:
        exchange = options.get("exchange")
        if message.sent_event is None and str(getattr(exchange, "name", exchange)).startswith(EXCHANGES):
            # Of the older protocol the time is in the body.
            eta = message.headers.get("eta") or message.body["eta"]
            told = {"uuid": message.properties["correlation_id"], "name": name, "eta": eta}
            message = task_message(message.headers, message.properties, message.body, sent_event=told)
        return send(producer, name, message, **options)

    return send_task_message


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
