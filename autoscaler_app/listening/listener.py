"""The always-on ear of the control worker: every Celery event, into `Activity`, in a thread of its own.

Events live five seconds: what is not heard while we are connected is gone. So the listener connects again for
ever, asks all workers to speak up when it has, and listens to an echo of its own to know that it still hears:
on Redis a connection whose other end vanished is silent, exactly like a cluster where nothing happens.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from celery import Celery
from kombu import Consumer

from autoscaler_app.brokers.connection import Deadline, brief_connection
from autoscaler_app.brokers.errors import BrokerError, BrokerUnreachable
from autoscaler_app.brokers.reading import json_of
from autoscaler_app.listening.activity import Change
from autoscaler_app.listening.ask import tell_everybody
from autoscaler_app.listening.background import FIRST_PAUSE, Background
from autoscaler_app.listening.trust import Trust

log = logging.getLogger(__name__)

ECHO = "autoscale-echo"
ECHO_EVERY = 5.0
FIRST_ECHOES_EVERY = 0.25
TURN = 0.25
"""Seconds after which a quiet listener looks up: whether to stop, whether to speak."""
DEAF_AFTER = 3 * ECHO_EVERY
TOO_LATE = timedelta(seconds=3)
"""Behind what is said by so much, and events begin to expire unheard (`event_queue_ttl` is 5 s)."""
TELL_LOSSES_EVERY = 60.0
HEARTBEAT = 10
"""Seconds; AMQP's own."""
WAIT = 5.0
"""Seconds within which the broker has to answer when we connect or speak."""


class Believer(Protocol):
    """Who is told what is heard: an `Activity`, or a recorder. No method raises."""

    @property
    def losses(self) -> tuple[int, int]:
        """Events that could not be understood, and facts that had no room."""

    def apply(self, event: Mapping[str, Any], now: datetime) -> Iterable[Change]:
        """Take an event, heard at `now`."""

    def reject(self, why: Exception, said: object = None) -> None:
        """Something came that could not be read."""

    def doubt(self) -> None:
        """From the last event on something may have gone unheard."""


class Listener(Background):
    """Feeds an `Activity` until it is stopped.

    `on_change` is called in the listener's thread for each `Change`; it must be quick and not raise.
    """

    def __init__(
        self,
        app: Celery,
        activity: Believer,
        on_change: Callable[[Change], None] | None = None,
        trust: Trust | None = None,
    ) -> None:
        super().__init__("autoscaler-listener")
        self._app = app
        self._activity = activity
        self._on_change = on_change
        self._trust = trust
        self._connected_since: datetime | None = None
        self._lag: timedelta | None = None
        self._connected_at = 0.0
        self._heard_echo: float | None = None
        self._sent_echo = 0.0
        self._id = uuid.uuid4().hex
        self._told_losses, self._told_losses_at = (0, 0), -math.inf
        self.connections = 0
        """How often it connected; what happened between two connections was not heard."""

    @property
    def connected_since(self) -> datetime | None:
        """Everything sent since then was heard, as far as anybody knows; None while not connected."""
        return self._connected_since

    def clock_was_set(self, by: timedelta, now: datetime) -> None:
        """It has been connected for as long as it was."""
        since = self._connected_since
        if since is not None:
            self._connected_since = min(since + by, now)

    @property
    def lag(self) -> timedelta | None:
        """How long our own last echo took to come back; None before the first."""
        return self._lag

    def run(self) -> None:
        """Listen, and connect again for ever."""
        pause = FIRST_PAUSE
        while not self.stopping.is_set():
            try:
                self._listen()
            except BrokerError as error:
                log.warning("listener lost the broker, and tries again: %s", error)
            except Exception:
                log.exception("listener failed, and starts again")
            finally:
                was_connected, self._connected_since = self._connected_since is not None, None
                # Not only when it hears again: a pass may reach the broker before that, and who last told
                # before the broker was down for an hour would look silent for an hour.
                self._activity.doubt()
            pause = self.pause(FIRST_PAUSE if was_connected else pause)

    def _listen(self) -> None:
        """Until it is stopped or the connection fails, which raises BrokerError."""
        deadline = Deadline(WAIT, "connecting for events")
        with brief_connection(self._app, deadline, heartbeat=HEARTBEAT) as connection:
            channel = connection.default_channel
            receiver = self._app.events.Receiver(connection)
            dispatcher = self._app.events.Dispatcher(
                connection, hostname="autoscaler-listener", buffer_while_offline=False
            )
            consumer = Consumer(
                channel,
                [receiver.queue],
                accept=None,
                no_ack=True,
                on_message=self._receive,
                on_decode_error=lambda message, error: self._activity.reject(error),
            )
            self._heard_echo, self._sent_echo = None, -math.inf
            self._connected_at = time.monotonic()
            with consumer:
                while not self.stopping.is_set():
                    self._speak(dispatcher)
                    self._drain(connection)
                    if self._connected_since is None and self._hears_itself():
                        self._hear_all(channel)

    def _hears_itself(self) -> bool:
        return self._heard_echo is not None

    def _hear_all(self, channel: Any) -> None:
        """The first echo came back: from now on nothing is missed. What was said before may have been."""
        self._activity.doubt()
        self._connected_since = datetime.now(UTC)
        self.connections += 1
        tell_everybody(self._app, channel, "heartbeat")

    def _speak(self, dispatcher: Any) -> None:
        now = time.monotonic()
        if now - (self._heard_echo or self._connected_at) > DEAF_AFTER:
            raise BrokerUnreachable(f"nothing came back for {DEAF_AFTER:g} s of what the listener said")
        # On Redis a subscription becomes real only some time after we asked for it.
        if now - self._sent_echo >= (ECHO_EVERY if self._heard_echo else FIRST_ECHOES_EVERY):
            self._sent_echo = now
            dispatcher.send(ECHO, listener=self._id, sent=now)
            self._tell_losses(now)

    def _drain(self, connection: Any) -> None:
        with contextlib.suppress(TimeoutError):  # nothing said for a while
            connection.drain_events(timeout=TURN)
        connection.heartbeat_check()

    def _receive(self, message: Any) -> None:
        try:
            body = json_of(message)
        except ValueError as error:
            # An app whose events have another format, say: what its nodes have to say comes as JSON.
            self._activity.reject(error)
            return
        events = body if isinstance(body, list) else [body]
        now = datetime.now(UTC)
        for event in events:
            try:
                self._take(event, now)
            # Anybody's: one word is lost, and the ear is not.
            except Exception as error:  # noqa: BLE001
                self._activity.reject(error, event)

    def _take(self, event: object, now: datetime) -> None:
        if not isinstance(event, Mapping):
            return
        if event.get("type") == ECHO:
            self._take_echo(event)
            return
        believed = event if self._trust is None else self._trust.event(event, now)
        if believed is None:
            return
        changes = self._activity.apply(believed, now)
        if self._on_change is not None:
            for change in changes:
                self._on_change(change)

    def _take_echo(self, event: Mapping[str, Any]) -> None:
        # Another control side on the same broker (a passive one, a test) has its own echo; and what was said
        # over an earlier connection proves nothing about this one.
        heard, sent = time.monotonic(), event.get("sent")
        if event.get("listener") != self._id or not _is_between(sent, self._connected_at, heard):
            return
        self._heard_echo, self._lag = heard, timedelta(seconds=heard - event["sent"])
        if self._lag > TOO_LATE:
            log.warning(
                "listener is %.1f s behind: events may have expired unheard", self._lag.total_seconds()
            )
            self._activity.doubt()

    def _tell_losses(self, now: float) -> None:
        """Say in the log, now and then, what could not be understood or kept."""
        lost = self._activity.losses
        if lost != self._told_losses and now - self._told_losses_at >= TELL_LOSSES_EVERY:
            self._told_losses, self._told_losses_at = lost, now
            log.warning("events lost since the start: %d not understood, %d without room", *lost)


def _is_between(sent: object, then: float, now: float) -> bool:
    """Ours to say, and anybody's to copy."""
    return isinstance(sent, int | float) and then <= sent <= now
