"""How long tasks run, by queue: a mean that forgets, bounded, and kept in the state file as JSON. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

HALF_LIFE = timedelta(hours=6)
"""After this long a run counts half: a new release of the tasks is believed within a day."""
MAX_QUEUES = 2_000


@dataclass(slots=True)
class _Runs:
    """The runs of one queue, each worth less with its age, all as of one moment."""

    at: datetime
    count: float = 0.0
    seconds: float = 0.0
    """Of all of them."""

    def decay(self, now: datetime) -> None:
        """Bring them to `now`; a clock that was set back decays nothing."""
        if now <= self.at:
            return
        factor = 0.5 ** ((now - self.at) / HALF_LIFE)
        self.count, self.seconds, self.at = self.count * factor, self.seconds * factor, now


class Runtimes:
    """Run times of every queue. Not thread-safe: a pass owns it."""

    def __init__(self) -> None:
        self._queues: dict[str, _Runs] = {}

    def add(self, queue: str, seconds: float, at: datetime, count: int = 1) -> None:
        """Count a run, or several of this mean length.

        Raises ValueError if its length is not a number of seconds from 0 up.
        """
        if not math.isfinite(seconds) or seconds < 0:
            raise ValueError(f"a task of queue {queue!r} ran for {seconds!r} s; 0 or more would be right")
        runs = self._queues.get(queue)
        if runs is None:
            if len(self._queues) >= MAX_QUEUES:
                self._queues.pop(min(self._queues, key=lambda name: self._queues[name].at))
            runs = self._queues[queue] = _Runs(at)
        runs.decay(at)
        # A run that is told of late is worth what it would be worth by now.
        weight = count * 0.5 ** ((runs.at - at) / HALF_LIFE)
        runs.count += weight
        runs.seconds += weight * seconds

    def mean(self, queue: str) -> float | None:
        """Mean run time in seconds, the recent ones counting more; None if nothing is known."""
        runs = self._queues.get(queue)
        return None if runs is None or not runs.count else runs.seconds / runs.count

    def last(self, queue: str) -> datetime | None:
        """When a run of it last ended; None if nothing is known."""
        runs = self._queues.get(queue)
        return None if runs is None else runs.at

    def to_json(self) -> dict[str, Any]:
        """For the state file; bounded by the number of queues, never by the number of runs."""
        return {
            queue: {"at": runs.at.isoformat(), "runs": runs.count, "seconds": runs.seconds}
            for queue, runs in sorted(self._queues.items())
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Runtimes:
        """Read what `to_json` wrote. What cannot be read is left out: it is learnt again."""
        runtimes = cls()
        for queue, entry in found.items():
            try:
                at = datetime.fromisoformat(entry["at"])
                count, seconds = float(entry["runs"]), float(entry["seconds"])
            except (KeyError, TypeError, ValueError, AttributeError):
                continue
            sane = 0 < count < math.inf and 0 <= seconds < math.inf
            if sane and len(runtimes._queues) < MAX_QUEUES:
                at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
                runtimes._queues[str(queue)] = _Runs(at, count, seconds)
        return runtimes
