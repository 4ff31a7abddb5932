"""The lease on RabbitMQ: an exclusive queue, which the server gives to one connection and deletes with it."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import amqp
from celery import Celery

from autoscaler_app.brokers.connection import Deadline, brief_connection
from autoscaler_app.passes.lease.claim import LEASE

SOMEBODY = f"the connection that owns the queue {LEASE!r} (rabbitmqctl list_queues name owner_pid)"
"""The server does not say who: only that it is somebody else."""


class AmqpClaim:
    """A queue and the connection that owns it, kept open."""

    def __init__(self, app: Celery, *, name: str, seconds: float) -> None:
        self._app, self._name = app, name
        # The server takes a connection for dead after one to two times its heartbeat.
        self._heartbeat = max(1, int(seconds / 2))
        self._kept = ExitStack()
        self._connection: Any = None

    @property
    def valid_for(self) -> float:
        """The server waits at least so long for a sign of life."""
        return float(self._heartbeat)

    def hold(self, owner: str) -> str:
        """Declare it: that is refused to every other connection, and changes nothing for its owner."""
        with self._kept.pop_all() as stack:
            connection, self._connection = self._connection, None
            if connection is None:
                connection = stack.enter_context(self._connect("asking for the lease"))
            connection.heartbeat_check()
            if not _declare(connection):
                return SOMEBODY
            self._connection, self._kept = connection, stack.pop_all()
        return ""

    def who(self) -> str:
        """Nobody, or somebody."""
        with self._connect("asking who has the lease") as connection:
            try:
                connection.default_channel.queue_declare(LEASE, passive=True)
            except amqp.ResourceLocked:
                return SOMEBODY
            except amqp.NotFound:
                return ""
        return SOMEBODY

    def let_go(self, owner: str) -> None:
        """The queue goes with its connection."""
        self._connection = None
        self._kept.close()

    def _connect(self, what: str) -> Any:
        deadline = Deadline(2.0 * self._heartbeat, what)
        return brief_connection(
            self._app, deadline, write=True, heartbeat=self._heartbeat, client_name=self._name
        )


def _declare(connection: Any) -> bool:
    try:
        connection.default_channel.queue_declare(LEASE, durable=False, exclusive=True, auto_delete=False)
    except amqp.ResourceLocked:
        return False
    return True
