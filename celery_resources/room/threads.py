"""The ends of tasks that run in threads of the worker's own process.

The event loop is not told of them by the pool, as it is of the ends of children.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from celery import signals

from celery_resources.insides.waker import Waker
from celery_resources.room.books import Books

LATE = 0.002
"""Seconds after which ends that Celery's books did not show yet are looked for once more."""


class ThreadEnds:
    """Has the event loop look at the books when a task has ended in a thread."""

    def __init__(self, consumer: Any, books: Books, waker: Waker, look: Callable[[], None]) -> None:
        self._consumer = consumer
        self._books = books
        self._waker = waker
        self._look = look
        self._will_look = False
        self._ended: deque[bool] = deque()
        """An entry for each end that is to be looked for."""

    def listen(self) -> None:
        """From now on, in this process."""
        signals.task_postrun.connect(self.ran)

    def connected(self) -> None:
        """The event loop has forgotten what it was to do soon."""
        self._will_look = False

    def ran(self, task: Any, **kwargs: Any) -> None:
        """In a thread of the pool, just before Celery's books show the end."""
        if task.acks_late and self._waker.hub_wakes:
            # The loop itself settles it, right after the books show its end: it turns anyway.
            return
        self._ended.append(True)
        # One look is for all that end until the loop turns.
        if not self._will_look:
            self._will_look = True
            self._consumer.hub.call_soon(self._look_shortly)
        self._waker.wake_from_thread()

    def _look_shortly(self) -> None:
        # First: what ends from here on may be seen too late by this look.
        self._will_look = False
        told, ended = len(self._ended), self._books.ended
        for _ in range(told):
            self._ended.popleft()
        self._look()
        if self._books.ended < ended + told:
            # Not all ends are in Celery's books yet.
            self._consumer.hub.call_later(LATE, self._look)
