"""What has come to a node that can never run it, and the queues that it came from.

Somebody else may be able to run it. Given back at once it would be the next to come, without end; to leave
its queue alone would stop what else stands there. So it is kept for a while, and the rest comes.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from celery.utils.log import get_logger

from celery_resources.intake.unstarted import Unstarted
from celery_resources.room.ledger import Ledger, Need

logger = get_logger(__name__)

PAUSE = 0.5
"""Seconds for which a queue is left alone to which something went back: who can run it has it first."""
LONG_PAUSE = 5.0
"""The same for a queue that brings more of that than may be kept here."""
MOST_NAMED = 1_000
"""Tasks that the log has named; a later time is told in the debug log only."""


class Misfits:
    """Keeps them, names each in the log, and says which queues are left alone meanwhile."""

    def __init__(self, ledger: Ledger, unstarted: Unstarted, changed: Callable[[], None]) -> None:
        """`changed` is called whenever other queues are left alone than before."""
        self._ledger = ledger
        self._unstarted = unstarted
        self._changed = changed
        self._left: dict[str, float] = {}
        """Queues that are left alone, each until when (monotonic)."""
        self._named: deque[str] = deque(maxlen=MOST_NAMED)

    def __contains__(self, queue: str) -> bool:
        """Is this queue left alone?"""
        return queue in self._left

    def set_aside(self, request: Any, need: Need, queue: str) -> None:
        """Keep it, or give it back if too many are kept."""
        why = (
            "it needs a gang, which the control side forms"
            if need.requirement.is_gang
            else f"this node cannot run it: {self._ledger.why_never(need)}"
        )
        logger.log(
            logging.DEBUG if request.id in self._named else logging.ERROR,
            "task %s[%s] from queue %s needs %s, and %s; given back in a while",
            *(request.name, request.id, queue, need.requirement.canonical, why),
        )
        if request.id not in self._named:
            self._named.append(request.id)
        if not self._unstarted.set_aside(request):
            self._unstarted.give_back(request, to_the_end=True)
            self.leave(queue, LONG_PAUSE)

    def leave(self, queue: str, seconds: float) -> None:
        """Leave it alone for so long, or for longer if that was said before."""
        self._left[queue] = max(self._left.get(queue, 0.0), time.monotonic() + seconds)
        self._changed()

    def forget(self) -> None:
        """Leave no queue alone: somebody says which are to be served."""
        self._left.clear()

    def look(self) -> None:
        """To be called now and then: whose time is over is given back, or is served again."""
        now = time.monotonic()
        for queue in [queue for queue, until in self._left.items() if until < now]:
            del self._left[queue]
            self._changed()
        for queue in self._unstarted.give_back_aside():
            self.leave(queue, PAUSE)
