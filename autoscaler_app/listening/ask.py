"""Asking workers, by name, with a deadline.

Celery's own `app.control.broadcast` publishes over the app's connection pool, retries for ever, and leaves
its reply queue to its expiry. Here a question has a connection and a reply queue of its own, both gone at the
end, and no part of it waits longer than it was told to.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from celery import Celery
from kombu import Consumer, Producer, Queue

from autoscaler_app.brokers.connection import Deadline, brief_connection
from autoscaler_app.brokers.reading import json_of
from autoscaler_app.listening.shown import printable, shortened
from autoscaler_app.listening.trust import Trust

log = logging.getLogger(__name__)

BATCH = 100
"""Workers named in one message."""


def ask(
    app: Celery,
    command: str,
    nodenames: Collection[str] | None,
    arguments: Mapping[str, Any] | None = None,
    timeout: float = 2.0,
    trust: Trust | None = None,
) -> dict[str, Any]:
    """Send a remote control command and collect the answers, by nodename.

    A worker that answered that it could not has None (the reason is in the log); one that did not answer in
    time, or that is not believed, is missing. Both mean unknown. `nodenames` None asks every worker and
    always takes the whole timeout: for a person's command, not for a pass. Raises `BrokerError` if the broker
    does not answer.
    """
    if nodenames is not None and not nodenames:
        return {}
    deadline = Deadline(timeout, f"asking for {command!r}")
    with brief_connection(app, deadline, write=True) as connection:
        # Of everybody, some are other workers that do not know the command: that is no news.
        refusals = logging.DEBUG if nodenames is None else logging.WARNING
        question = _Question(app, connection, command, refusals, trust)
        with question.answers:
            question.send(nodenames, arguments or {}, timeout)
            while deadline.left and not question.is_answered_by(nodenames):
                question.wait(deadline.left)
        question.clean_up()
    return question.found


def tell(
    app: Celery, command: str, nodenames: Collection[str], timeout: float = 2.0, trust: Trust | None = None
) -> None:
    """Send a command without arguments to these workers; no answers are awaited. Raises `BrokerError` if the
    broker does not take it in time.
    """
    deadline = Deadline(timeout, f"sending {command!r}")
    with brief_connection(app, deadline, write=True) as connection:
        for batch in _batches(sorted(nodenames)):
            arguments = _signed(trust, command, batch, {})
            _publish(
                app, connection.default_channel, command, destination=batch, arguments=arguments, expires=0.0
            )


def tell_everybody(app: Celery, channel: Any, command: str) -> None:
    """Send a command without arguments to every worker, over this channel; no answers are awaited."""
    _publish(app, channel, command, destination=None, arguments={}, expires=0.0)


def _publish(
    app: Celery,
    channel: Any,
    command: str,
    *,
    destination: list[str] | None,
    arguments: Mapping[str, Any],
    expires: float,
    **reply: object,
) -> None:
    """One message in the format of `kombu.pidbox.Mailbox._publish`."""
    mailbox = app.control.mailbox
    Producer(channel, auto_declare=False).publish(
        {
            "method": command,
            "arguments": dict(arguments),
            "destination": destination,
            "pattern": None,
            "matcher": None,
            **reply,
        },
        exchange=mailbox.exchange.name,
        declare=[mailbox.exchange],
        serializer="json",
        headers={"clock": app.clock.forward(), "expires": expires},
        retry=False,
    )


def _signed(
    trust: Trust | None,
    command: str,
    nodenames: Collection[str],
    arguments: Mapping[str, Any],
    question: str = "",
) -> Mapping[str, Any]:
    return (
        arguments
        if trust is None
        else trust.command(command, nodenames, arguments, question, datetime.now(UTC))
    )


class _Question:
    """One command and its answers."""

    def __init__(
        self, app: Celery, connection: Any, command: str, refusals: int, trust: Trust | None
    ) -> None:
        mailbox = app.control.mailbox
        self.found: dict[str, Any] = {}
        self._app = app
        self._connection = connection
        self._channel = connection.default_channel
        self._command = command
        self._trust = trust
        self._refusals = refusals
        """Level at which it is logged that a worker could not."""
        self._ticket = str(uuid.uuid4())
        self._reply_queue = Queue(
            f"{self._ticket}.{mailbox.reply_exchange.name}",
            exchange=mailbox.reply_exchange,
            routing_key=self._ticket,
            durable=False,
            auto_delete=True,
            expires=mailbox.reply_queue_expires,
        )
        self.answers = Consumer(
            self._channel,
            [self._reply_queue],
            accept=None,
            no_ack=True,
            on_message=self._on_answer,
            on_decode_error=lambda message, error: self._is_odd(error),
        )

    def send(self, nodenames: Collection[str] | None, arguments: Mapping[str, Any], timeout: float) -> None:
        """Publish to the workers named, in batches."""
        for batch in [None] if nodenames is None else _batches(sorted(nodenames)):
            _publish(
                self._app,
                self._channel,
                self._command,
                destination=batch,
                arguments=_signed(self._trust, self._command, batch or (), arguments, self._ticket),
                expires=time.time() + timeout,
                ticket=self._ticket,
                reply_to={"exchange": self._reply_queue.exchange.name, "routing_key": self._ticket},
            )

    def is_answered_by(self, nodenames: Collection[str] | None) -> bool:
        """Nobody is left to wait for. Of everybody, there is never nobody left."""
        return nodenames is not None and set(nodenames) <= self.found.keys()

    def wait(self, seconds: float) -> None:
        """Take the next answers, if any come."""
        try:
            self._connection.drain_events(timeout=seconds)
        except TimeoutError:
            return

    def clean_up(self) -> None:
        """Leave nothing on the broker: an abandoned reply queue on Redis has no end by itself."""
        self._channel.queue_delete(self._reply_queue.name)

    def _on_answer(self, message: Any) -> None:
        try:
            body = json_of(message)
        except ValueError as error:
            self._is_odd(error)
            return
        if not isinstance(body, dict) or message.headers.get("ticket") != self._ticket:
            return
        for nodename, answer in body.items():
            try:
                self._take(nodename, answer)
            # Anybody's: one answer is lost, and the question goes on.
            except Exception as error:  # noqa: BLE001
                self._is_odd(error)

    def _is_odd(self, error: Exception) -> None:
        log.debug("an answer to %r cannot be read: %s", self._command, shortened(str(error)))

    def _take(self, nodename: str, answer: Any) -> None:
        if self._trust is not None:
            answer = self._trust.answer(nodename, answer, self._ticket, datetime.now(UTC))
            if answer is None:
                return
        if isinstance(answer, dict) and "error" in answer:
            why = shortened(answer["error"], 300)
            log.log(self._refusals, "%s could not do %r: %s", printable(nodename), self._command, why)
            self.found[nodename] = None
            return
        is_wrapped = isinstance(answer, dict) and set(answer) == {"ok"}
        said = answer["ok"] if is_wrapped else answer
        if isinstance(said, dict):
            # Ours, below: nobody may say something for others with it.
            said.pop("others", None)
        self.found[nodename] = together(self.found.get(nodename), said)


def together(first: Any, second: Any) -> Any:
    """The answers of two processes of one name: neither may hide the other."""
    if isinstance(first, list) and isinstance(second, list):
        return [*first, *second]
    if isinstance(first, dict) and isinstance(second, dict) and first.get("pid") != second.get("pid"):
        return {**first, "others": [*first.get("others", ()), second]}
    return second


def _batches(names: list[str]) -> Iterable[list[str]]:
    for start in range(0, len(names), BATCH):
        yield names[start : start + BATCH]
