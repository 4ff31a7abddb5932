"""Which requests for a pass are covered by one that was made: nothing is done twice, nothing is left out.

A request says when it was sent. One that does not (a client that knows nothing of us, or somebody who may
send tasks and no requests) is covered if it stood in the queue when the pass began: so many were counted.
"""

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

LONGEST_BEAT = 86_400.0
"""Seconds between two requests of a beat, at most."""

MOST = 1e12
"""Seconds since the epoch at which no request was sent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Beginning:
    """When a pass began to look, and how the clocks stood to each other then."""

    at: float
    clocks: float
    in_line: int = 0
    """Requests that were in the queue then."""


class Requests:
    """What the passes of this process cover. One pass at a time."""

    def __init__(
        self, clock: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock, self._monotonic = clock, monotonic
        self._begun = _Beginning(at=0.0, clocks=0.0)
        self._covers: tuple[_Beginning, int] | None = None
        """The last pass that was made, with its number."""
        self._in_line = 0
        """Of the requests that were in the queue when that began, how many may still come."""
        self._stopping = threading.Event()

    def stop(self) -> None:
        """The worker stops: nothing waits any more."""
        self._stopping.set()

    @contextmanager
    def pass_begins(self, gap: float, count: Callable[[], int] = int) -> Iterator[None]:
        """Around a pass: what was asked for before it begins is covered by it, once it is made. `count` says
        how many requests are in the queue.

        It begins no sooner than `gap` seconds after the last one began, so that a burst of requests which
        takes longer to arrive than a pass takes to make is covered by the second pass, not by a tenth.
        """
        too_soon = self._begun.at + gap - self._clock()
        if 0 < too_soon <= gap:
            self._stopping.wait(too_soon)
        in_line = count()
        self._begun = _Beginning(at=self._clock(), clocks=self._wall_over_monotonic(), in_line=in_line)
        yield

    def pass_made(self, number: int, *, failed: bool) -> None:
        """The pass that began last has been made. One that failed covers nothing."""
        self._in_line = 0 if failed else self._begun.in_line
        if not failed:
            self._covers = (self._begun, number)

    def covered_by(self, asked_at: object, every: object = 0.0) -> int | None:
        """The pass that began to look after this was asked for; None if there is none yet. Of both a request
        may say anything.

        What is asked `every` so many seconds is covered also by a pass that began just before: the message of
        a second beat adds nothing. After the clock was set nothing is covered: times before and after do not
        compare, and a clock set back by an hour would otherwise stop passes for an hour.
        """
        was_in_line, self._in_line = self._in_line > 0, max(0, self._in_line - 1)
        if self._covers is None:
            return None
        begun, number = self._covers
        asked_at, every = _seconds(asked_at), _seconds(every)
        if asked_at is None or asked_at > self._clock() + STEP:
            return number if was_in_line else None
        if every is None or every > LONGEST_BEAT:
            every = 0.0
        if abs(self._wall_over_monotonic() - begun.clocks) > STEP:
            return None
        return number if asked_at < begun.at + TWO_BEATS * every else None

    def _wall_over_monotonic(self) -> float:
        return self._clock() - self._monotonic()


def _seconds(said: object) -> float | None:
    """A number of seconds, if that is what was said."""
    if isinstance(said, bool) or not isinstance(said, int | float) or not 0 <= said < MOST:
        return None
    return float(said)
