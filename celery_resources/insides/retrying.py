"""A task that asks to be retried while the broker is away is held until that is published.

Celery rejects its message, without a word to anybody but the log, if the retry cannot be published: the task
is gone. Here the child (or the thread) that runs it waits instead and tries again. The way out, should the
broker not come back: the task's time limit, or the end of the worker, after which the message comes back.
"""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Callable
from typing import Any

from celery import Task, bootsteps
from celery.exceptions import Reject
from celery.utils.log import get_logger
from kombu.exceptions import OperationalError

from celery_resources.room.node import is_node

logger = get_logger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds before the next try: the first time, and at most."""


class HoldsRetries(bootsteps.Step):
    """On a node, before its pool is made: children are forked with it. Leaves other workers alone."""

    label = "HoldsRetries"

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        if is_node(parent.options.get("resources")):
            hold_retries()


def hold_retries() -> None:
    """From now on, in this process and its children. May be called twice."""
    if not hasattr(Task.retry, "holds"):
        Task.retry = _holding(Task.retry)


def _holding(whole: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(whole)
    def retry(self: Any, *args: Any, **kwargs: Any) -> Any:
        pause = FIRST_PAUSE
        while True:
            try:
                return whole(self, *args, **kwargs)
            except Reject as rejected:
                if not isinstance(rejected.reason, OperationalError):
                    raise
                if pause == FIRST_PAUSE:
                    logger.warning(
                        "task %s[%s] is held until its retry can be published: %s",
                        *(self.name, self.request.id, rejected.reason),
                    )
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(LONGEST_PAUSE, pause * 2)

    retry.holds = True  # type: ignore[attr-defined]
    return retry
