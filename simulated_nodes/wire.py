"""How thousands of pretended workers speak over one connection: Celery's events, commands, tasks, results.

The only module of the emulator that imports Celery; imported only if nodes are simulated.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from celery import Celery
from celery.events.event import get_exchange
from celery.utils.time import utcoffset
from kombu import Consumer, Exchange, Producer, Queue
from kombu.exceptions import DecodeError, OperationalError

from simulated_nodes.worker import SimWorker

DAYS = 24 * 3600

Event = tuple[SimWorker, str, Mapping[str, Any]]
"""Who says what: the worker, the type of the event, its fields."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A remote-control command, as it came."""

    method: str
    arguments: Mapping[str, Any]
    destination: Sequence[str] | None
    """Node names; None for everybody."""
    reply_to: Mapping[str, Any] | None
    ticket: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """A task message, as it came. `message` is to be acknowledged or given back."""

    id: str
    name: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    requirement: Mapping[str, Any] | None
    """What it says that it needs; None if it says nothing."""
    eta: str | None
    ignore_result: bool
    message: Any


class SimWire:
    """One connection to the broker. Used by one thread."""

    def __init__(self, broker: str, backend: str | None) -> None:
        self._is_redis = broker.startswith(("redis://", "rediss://"))
        self._app = Celery("cyclecloud-emulator", broker=broker, backend=backend, set_as_current=False)
        self._app.conf.update(
            # The shortest value of all that share a broker wins: never give back what a node still runs.
            broker_transport_options={"visibility_timeout": 2 * DAYS} if self._is_redis else {},
            broker_connection_retry_on_startup=False,
        )
        self._has_results = backend is not None
        self._connection: Any = None

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What a lost connection raises."""
        connection = self._app.connection_for_read()
        return (*connection.connection_errors, *connection.channel_errors, OperationalError)

    def connect(self, on_command: Callable[[Command], None]) -> None:
        """Connect, and listen for commands from now on."""
        self._connection = self._app.connection_for_read()
        self._connection.ensure_connection(max_retries=1, timeout=5)
        channel = self._connection.default_channel
        self._producer = Producer(channel, auto_declare=False)
        self._event_exchange = get_exchange(self._connection, name=self._app.conf.event_exchange)
        self._queues: dict[str, Any] = {}

        def received(body: object, message: Any) -> None:
            command, expires = _command(body), message.headers.get("expires")
            is_late = isinstance(expires, int | float) and 0 < expires < time.time()
            if command is not None and not is_late:
                on_command(command)

        queue = self._app.control.mailbox.get_queue(f"emulator-{uuid.uuid4()}")
        self._consumer = Consumer(
            channel, [queue], no_ack=True, accept=["json"], callbacks=[received], on_decode_error=_ignore
        )
        self._consumer.consume()

    def disconnect(self) -> None:
        """Give back everything that was not acknowledged, if there still is a connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def close(self) -> None:
        """Disconnect for good."""
        self.disconnect()
        self._app.close()

    def drain(self, seconds: float) -> None:
        """Take the commands that come within so long."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                self._connection.drain_events(timeout=left)
            except TimeoutError:
                return

    def reply(self, command: Command, nodename: str, answer: object) -> None:
        """Answer a command in the name of a worker."""
        if command.reply_to is None:
            return
        exchange = Exchange(
            command.reply_to["exchange"], exchange_type="direct", delivery_mode="transient", durable=False
        )
        self._producer.publish(
            {nodename: answer},
            exchange=exchange,
            routing_key=command.reply_to["routing_key"],
            declare=[exchange],
            headers={"ticket": command.ticket, "clock": self._app.clock.forward()},
            serializer="json",
        )

    def send(self, events: Iterable[Event]) -> None:
        """Publish events as Celery's workers do: the events of a worker's tasks together, others singly."""
        of_tasks: dict[str, list[dict[str, Any]]] = {}
        for worker, kind, fields in events:
            event = {
                **fields,
                "type": kind,
                "hostname": worker.nodename,
                "pid": worker.pid,
                "clock": self._app.clock.forward(),
                "utcoffset": utcoffset(),
                "timestamp": time.time(),
            }
            if kind.startswith("task-"):
                of_tasks.setdefault(worker.nodename, []).append(event)
            else:
                self._publish(event, kind.replace("-", "."))
        for batch in of_tasks.values():
            self._publish(batch, "task.multi")

    def _publish(self, body: object, routing_key: str) -> None:
        self._producer.publish(
            body,
            exchange=self._event_exchange.name,
            routing_key=routing_key,
            declare=[self._event_exchange],
            serializer="json",
            delivery_mode=1,
        )

    def get(self, name: str) -> Delivery | None:
        """The next message of a queue, if there is one. What is no task is rejected."""
        queue = self._queues.get(name)
        if queue is None:
            queue = self._queues[name] = self._app.amqp.queues[name](self._connection.default_channel)
            queue.declare()
        message = queue.get(accept=["json"])
        if message is None:
            return None
        headers = message.headers
        try:
            args, kwargs, _ = message.payload
            return Delivery(
                id=headers["id"],
                name=headers["task"],
                args=args,
                kwargs=kwargs,
                requirement=headers.get("autoscale_requirement"),
                eta=headers.get("eta"),
                ignore_result=bool(headers.get("ignore_result")),
                message=message,
            )
        except (DecodeError, KeyError, ValueError, TypeError):
            message.reject()
            return None

    def lose(self, message: Any) -> None:
        """The machine that held this message is gone. RabbitMQ sees the connection close and gives it to
        somebody else; on Redis it stays unacknowledged until somebody restores it."""
        if not self._is_redis:
            message.requeue()

    def store(self, task_id: str, result: object) -> None:
        """Keep the result of a task."""
        if self._has_results:
            self._app.backend.mark_as_done(task_id, result)

    def fail(self, task_id: str, why: str) -> None:
        """Keep the failure of a task."""
        if self._has_results:
            self._app.backend.mark_as_failure(task_id, RuntimeError(why))

    def note(self, queue: str, facts: Mapping[str, Any]) -> None:
        """Tell the control side something that must not be lost."""
        body = json.dumps(dict(facts))
        with self._app.producer_pool.acquire(block=True) as producer:
            producer.publish(
                body,
                exchange="",
                routing_key=f"{queue}.notes",
                content_type="application/json",
                content_encoding="utf-8",
                # As the control worker makes it, should none have run here yet.
                declare=[Queue(f"{queue}.notes", durable=True)],
                retry=True,
            )


class _Body(msgspec.Struct):
    """What a command has to look like; a body that does not is nobody's command."""

    method: str
    arguments: dict[str, Any] | None = None
    destination: list[str] | None = None
    reply_to: dict[str, str] | None = None
    ticket: str | None = None


def _command(body: object) -> Command | None:
    try:
        said = msgspec.convert(body, _Body)
    except msgspec.ValidationError:
        return None
    where = said.reply_to or {}
    return Command(
        method=said.method,
        arguments=said.arguments or {},
        destination=said.destination,
        reply_to=where if {"exchange", "routing_key"} <= where.keys() else None,
        ticket=said.ticket,
    )


def _ignore(message: Any, error: Exception) -> None:
    """A command that cannot be read is nobody's."""
