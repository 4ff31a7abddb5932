"""Asking for a pass when something happened, without asking for a thousand."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)


AT_ONCE = 0.1
"""Seconds within which pokes are of one thing: a task is announced, and sent, and an event tells of it."""


class Wake:
    """Calls `ask` once for a burst of pokes: `quick` seconds after pokes that came at once; while more keep
    coming, after `idle` quiet seconds, and after `longest` at the latest.
    """

    def __init__(
        self,
        ask: Callable[[], None],
        *,
        quick: float,
        idle: float,
        longest: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask, self._clock = ask, clock
        self._quick, self._idle, self._longest = quick, idle, longest
        self._poked = threading.Condition()
        self._first: float | None = None
        self._last = 0.0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="autoscaler-wake", daemon=True)

    def start(self) -> None:
        """Begin to wait for pokes."""
        self._thread.start()

    def stop(self) -> None:
        """Ask for nothing any more."""
        with self._poked:
            self._stopping = True
            self._poked.notify()
        if self._thread.is_alive():
            self._thread.join(5)

    def poke(self) -> None:
        """Something happened. Quick; may be called from any thread."""
        with self._poked:
            self._last = self._clock()
            if self._first is None:
                self._first = self._last
                self._poked.notify()

    def _run(self) -> None:
        while self._wait_for_quiet():
            try:
                self._ask()
            except Exception:
                log.exception("could not ask for a pass; the next poke asks again")

    def _wait_for_quiet(self) -> bool:
        """True when it is time to ask; False when it is time to stop."""
        with self._poked:
            while not self._stopping:
                if self._first is None:
                    self._poked.wait()
                    continue
                left = self._due(self._first, self._last) - self._clock()
                if left <= 0:
                    self._first = None
                    return True
                self._poked.wait(left)
            return False

    def _due(self, first: float, last: float) -> float:
        quiet = self._quick if last - first < AT_ONCE else self._idle
        return min(last + quiet, first + self._longest)
