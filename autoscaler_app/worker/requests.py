"""Which requests for a pass are covered by one that was made: nothing is done twice, nothing is left out.

A request says when it was sent. One that does not (a client that knows nothing of us, or somebody who may
send tasks and no requests) is covered if it stood in the queue when the pass began. The messages that come
out of the queue are numbered, and the number of the last that stood there then is known.

The same number tells whether more have come since. What they ask for is not known before it is their turn,
and fifty thousand others may be before them: so a pass is made for whatever has come.
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

FEW = 50
"""Messages that are gone through in no time."""

LOOK_EVERY = 0.2
"""Seconds between two looks at how many stand in the queue, while it is a line."""

LONGEST_BEAT = 86_400.0
"""Seconds between two requests of a beat, at most."""

MOST = 1e12
"""Seconds since the epoch at which no request was sent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Beginning:
    """When a pass began to look, and how the clocks stood to each other then."""

    at: float
    clocks: float
    last: int = 0
    """The number of the last message that was in the queue then."""
    waiting: int = 0
    """How many were."""


class Requests:
    """What the passes of this process cover. One pass at a time."""

    def __init__(
        self, clock: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock, self._monotonic = clock, monotonic
        self._begun = _Beginning(at=0.0, clocks=0.0)
        self._covers: tuple[_Beginning, int] | None = None
        """The last pass that was made, with its number."""
        self._came = 0
        """The number of the last message that came out of the control queue."""
        self._looked_at, self._looked = 0, -LOOK_EVERY
        """What that was at the last look at the line, and when that was."""
        self._stopping = threading.Event()

    def stop(self) -> None:
        """The worker stops: nothing waits any more."""
        self._stopping.set()

    def came(self) -> None:
        """A message came out of the control queue, whatever it is."""
        self._came += 1

    @property
    def waiting(self) -> int:
        """How many messages were in the queue when the last pass began."""
        return self._begun.waiting

    def is_time_to_look(self) -> bool:
        """Whether so many have come since the last look that there may be a line."""
        now = self._monotonic()
        if self._came - self._looked_at < FEW or now - self._looked < LOOK_EVERY:
            return False
        self._looked_at, self._looked = self._came, now
        return True

    def has_more(self, gap: float, count: Callable[[], int]) -> bool:
        """Whether messages may have come into the queue since the last pass began. Nobody waits for the gap
        here: the line goes on meanwhile, and the next look comes.
        """
        if not self._begun.at:
            return True
        return self._too_soon(gap) <= 0 and self._end_of_line(count)[2] > self._begun.last

    @contextmanager
    def pass_begins(self, gap: float, count: Callable[[], int] = int) -> Iterator[None]:
        """Around a pass: what was asked for before it begins is covered by it, once it is made. `count` says
        how many messages are in the queue.

        It begins no sooner than `gap` seconds after the last one began, so that a burst of requests which
        takes longer to arrive than a pass takes to make is covered by the second pass, not by a tenth.
        """
        if (too_soon := self._too_soon(gap)) > 0:
            self._stopping.wait(too_soon)
        waiting, last, _ = self._end_of_line(count)
        self._begun = _Beginning(
            at=self._clock(), clocks=self._wall_over_monotonic(), last=last, waiting=waiting
        )
        yield

    def pass_made(self, number: int, *, failed: bool) -> None:
        """The pass that began last has been made. One that failed covers nothing."""
        if not failed:
            self._covers = (self._begun, number)

    def covered_by(self, asked_at: object, every: object = 0.0) -> int | None:
        """The pass that began to look after this was asked for; None if there is none yet. Of both a request
        may say anything.

        What is asked `every` so many seconds is covered also by a pass that began just before: the message of
        a second beat adds nothing. After the clock was set nothing is covered: times before and after do not
        compare, and a clock set back by an hour would otherwise stop passes for an hour.
        """
        if self._covers is None:
            return None
        begun, number = self._covers
        asked_at, every = _seconds(asked_at), _seconds(every)
        if asked_at is None or asked_at > self._clock() + STEP:
            return number if 0 < self._came <= begun.last else None
        if every is None or every > LONGEST_BEAT:
            every = 0.0
        if abs(self._wall_over_monotonic() - begun.clocks) > STEP:
            return None
        return number if asked_at < begun.at + TWO_BEATS * every else None

    def _too_soon(self, gap: float) -> float:
        """Seconds by which a pass would begin too soon after the last one."""
        left = self._begun.at + gap - self._clock()
        return left if 0 < left <= gap else 0.0

    def _end_of_line(self, count: Callable[[], int]) -> tuple[int, int, int]:
        """How many are in the queue; and the number of the last of them, at least and at most.

        Others may come out while they are counted, and one may be on its way: of a line, two counts between
        which nothing came out are better than one.
        """
        seen = -1
        for _ in range(3):
            before, waiting, after = self._came, count(), self._came
            if waiting < FEW or seen == before == after:
                break
            seen = after
        return waiting, before + waiting, after + waiting

    def _wall_over_monotonic(self) -> float:
        return self._clock() - self._monotonic()


def _seconds(said: object) -> float | None:
    """A number of seconds, if that is what was said."""
    if isinstance(said, bool) or not isinstance(said, int | float) or not 0 <= said < MOST:
        return None
    return float(said)
