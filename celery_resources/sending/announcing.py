"""Telling about kinds of task, before the first task of the kind is sent.

The control side is told, or, where there is none, the nodes themselves.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from celery_resources.need.requirement import Requirement
from celery_resources.sending import board
from celery_resources.sending.notes import send_note

AGAIN_AFTER = 600.0
"""Seconds after which a kind in use is announced again, so that a lost state file heals."""


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
