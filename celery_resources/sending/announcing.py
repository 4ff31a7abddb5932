"""Telling about kinds of task, before the first task of the kind is sent.

The control side is told, or, where there is none, the nodes themselves.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from celery.utils.log import get_logger

from celery_resources.need.requirement import Requirement
from celery_resources.sending import board
from celery_resources.sending.brief import NoWord
from celery_resources.sending.delayed import Delays
from celery_resources.sending.notes import send_note

logger = get_logger(__name__)

AGAIN_AFTER = 600.0
"""Seconds after which a kind in use is announced again, so that a lost state file heals."""
AGAIN_SOON = 30.0
"""The same where it is not known whether it arrived."""


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
        self._delays = Delays(app)

    def announce(self, queue: str, requirement: Requirement) -> None:
        """Say that `queue` is for tasks with this requirement, if it was not said lately."""
        if queue == self._control_queue:
            return
        now = self._clock()
        due = self._due.get(queue)
        if due is not None and now < due:
            return
        again = AGAIN_AFTER
        try:
            self._say(queue, requirement)
        except NoWord as error:
            # Celery sends the task itself without waiting for an answer, and so is this one sent.
            logger.warning("queue %r may not have been announced, and is again in a while: %s", queue, error)
            again = AGAIN_SOON
        # Only now: if sending failed, the task that asked for it fails too, and the next one tries again.
        self._due[queue] = now + again

    def _say(self, queue: str, requirement: Requirement) -> None:
        self._delays.bind(queue)
        if self._control_queue is not None:
            said = requirement.to_json()
            send_note(self._app, self._control_queue, kind="announce", queue=queue, requirement=said)
        elif not requirement.is_gang:
            # Nobody forms gangs without a control side.
            board.post(self._app, queue, requirement)
