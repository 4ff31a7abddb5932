"""Telling about kinds of task, before the first task of the kind is sent.

The control side is told, or, where there is none, the nodes themselves.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from celery_resources.need.requirement import Requirement
from celery_resources.sending import board

NOTE = "autoscaler_app.note"
"""Name of the task that takes notes on the control side."""

AGAIN_AFTER = 600.0
"""Seconds after which a kind in use is announced again, so that a lost state file heals."""


HURRIED = {"max_retries": 3, "interval_start": 0.0, "interval_step": 0.2, "interval_max": 0.2}
"""How often to try again where somebody waits: Celery's own choice for what is published."""

PATIENT = {"max_retries": 30, "interval_start": 0.2, "interval_step": 0.4, "interval_max": 2.0}
"""For a minute: a broker that restarts is back by then."""


def send_note(app: Any, to: str, *, policy: Mapping[str, float] = HURRIED, **facts: Any) -> None:
    """One durable message without expiry to the control side, over a connection of its own.

    Its own, because the caller may be shutting down, or may hold the only connection of a pool of one.
    Raises kombu's OperationalError where the broker cannot be reached for as long as the policy says.
    """
    with app.connection_for_write() as connection:
        # The retries of publishing are for a connection that breaks, not for one that cannot be made.
        connection.ensure_connection(**policy)
        options = {"connection": connection, "retry": True, "retry_policy": dict(policy)}
        app.send_task(NOTE, kwargs=facts, queue=to, ignore_result=True, **options)


class Announces(Protocol):
    """What publishing asks of whoever tells others about kinds."""

    def announce(self, queue: str, requirement: Requirement) -> None:
        """`queue` is for tasks with this requirement."""


class Announcer:
    """Announces a kind once per process, and again while it is in use."""

    def __init__(
        self, app: Any, control_queue: str | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._app = app
        self._control_queue = control_queue
        self._clock = clock
        self._due: dict[str, float] = {}

    def announce(self, queue: str, requirement: Requirement) -> None:
        """Say that `queue` is for tasks with this requirement, if it was not said lately."""
        if queue == self._control_queue:
            return
        now = self._clock()
        due = self._due.get(queue)
        if due is not None and now < due:
            return
        if self._control_queue is not None:
            said = requirement.to_json()
            send_note(self._app, self._control_queue, kind="announce", queue=queue, requirement=said)
        elif not requirement.is_gang:
            # Nobody forms gangs without a control side.
            board.post(self._app, queue, requirement)
        # Only now: if sending failed, the task that asked for it fails too, and the next one tries again.
        self._due[queue] = now + AGAIN_AFTER
