"""Time that passes only when somebody lets it, and what is to happen when."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime

EPOCH = 1_800_000_000.0
"""When every history begins, in seconds since the epoch."""


class Clock:
    """The true time, and what is due. Whoever waits lets the rest of the world go on meanwhile."""

    def __init__(self) -> None:
        self.at = EPOCH
        self.wrong_by = 0.0
        """By so much the wall clock of the control side's machine is wrong."""
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()

    @property
    def passed(self) -> float:
        """Seconds since the beginning."""
        return self.at - EPOCH

    def wall(self) -> datetime:
        """What the control side's machine takes for the time."""
        return datetime.fromtimestamp(self.at + self.wrong_by, UTC)

    def monotonic(self) -> float:
        """Nobody can set this one."""
        return self.passed

    def after(self, seconds: float, deed: Callable[[], None]) -> None:
        """Have it done so much later."""
        heapq.heappush(self._due, (self.at + max(0.0, seconds), next(self._count), deed))

    def sleep(self, seconds: float) -> None:
        """Let time pass, and do what becomes due. What that does may sleep itself."""
        until = self.at + seconds
        while self._due and self._due[0][0] <= until:
            at, _, deed = heapq.heappop(self._due)
            self.at = max(self.at, at)
            deed()
        self.at = max(self.at, until)
