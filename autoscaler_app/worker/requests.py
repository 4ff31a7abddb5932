"""Which requests for a pass are covered by one that was made: nothing is done twice, nothing is left out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

TWO_BEATS = 0.6
"""Of two beats, the one that asks within this part of the interval after the other is not needed."""

STEP = 1.0
"""Seconds by which the wall clock may move against the monotonic one before it counts as set anew."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Beginning:
    """When a pass began to look, and how the clocks stood to each other then."""

    at: float
    clocks: float


class Requests:
    """What the passes of this process cover. One pass at a time."""

    def __init__(
        self, clock: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock, self._monotonic = clock, monotonic
        self._begun = _Beginning(at=0.0, clocks=0.0)
        self._covers: tuple[_Beginning, int] | None = None
        """The last pass that was made, with its number."""
        self._stopping = threading.Event()

    def stop(self) -> None:
        """The worker stops: nothing waits any more."""
        self._stopping.set()

    @contextmanager
    def pass_begins(self, gap: float) -> Iterator[None]:
        """Around a pass: what was asked for before it begins is covered by it, once it is made.

        It begins no sooner than `gap` seconds after the last one began, so that a burst of requests which
        takes longer to arrive than a pass takes to make is covered by the second pass, not by a tenth.
        """
        too_soon = self._begun.at + gap - self._clock()
        if 0 < too_soon <= gap:
            self._stopping.wait(too_soon)
        self._begun = _Beginning(at=self._clock(), clocks=self._wall_over_monotonic())
        yield

    def pass_made(self, number: int, *, failed: bool) -> None:
        """The pass that began last has been made. One that failed covers nothing."""
        if not failed:
            self._covers = (self._begun, number)

    def covered_by(self, asked_at: float, every: float = 0.0) -> int | None:
        """The pass that began to look after this was asked for; None if there is none yet.

        What is asked `every` so many seconds is covered also by a pass that began just before: the message of
        a second beat adds nothing. After the clock was set nothing is covered: times before and after do not
        compare, and a clock set back by an hour would otherwise stop passes for an hour.
        """
        if self._covers is None:
            return None
        begun, number = self._covers
        if abs(self._wall_over_monotonic() - begun.clocks) > STEP:
            return None
        return number if asked_at < begun.at + TWO_BEATS * every else None

    def _wall_over_monotonic(self) -> float:
        return self._clock() - self._monotonic()
