"""A control worker that waits on Redis for what it has done long ago.

An acknowledgement that fails, because the server went away in that moment, leaves its message counted as
here. With a credit of one nothing more is asked for then, and who asks for nothing on a connection does not
learn that it is gone: nodes have their remote control on it as well, the control worker has not. So it looks.
"""

from __future__ import annotations

from typing import Any

from celery import bootsteps
from celery.worker import state as worker_state

EVERY = 1.0
"""Seconds between two looks."""


class NoticesThatNothingComes(bootsteps.StartStopStep):
    """A step of the consumer: connects anew when no credit is left though nothing is here."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **_: Any) -> None:
        self._consumer = parent
        self._was_stuck = False

    def start(self, parent: Any) -> None:
        """On a new connection nothing is counted yet."""
        self._was_stuck = False

    def register_with_event_loop(self, parent: Any, hub: Any) -> None:
        """Called by Celery for every connection."""
        hub.call_repeatedly(EVERY, self.look)

    def look(self) -> None:
        """Raise ConnectionResetError, for which the loop connects anew, if two looks find the same."""
        was_stuck, self._was_stuck = self._was_stuck, self._is_stuck()
        if was_stuck and self._was_stuck:
            raise ConnectionResetError(
                "a message could not be acknowledged when the broker went away: connecting anew"
            )

    def _is_stuck(self) -> bool:
        if self._consumer.task_consumer is None or worker_state.requests:
            return False
        # Of RabbitMQ the server counts, and a connection that is gone takes its messages with it.
        qos = getattr(self._consumer.task_consumer.channel, "qos", None)
        return qos is not None and not qos.can_consume()
