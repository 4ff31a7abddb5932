"""How long tasks run, by queue: decayed, bounded, and kept in the state file as JSON. Pure."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

HALF_LIFE = timedelta(hours=6)
"""After this long a run counts half: a new release of the tasks is believed within a day."""
MAX_QUEUES = 2_000
LEAST = 1e-3
"""Seconds; shorter runs are counted as this long."""
STEP = 1.15
"""Ratio of the bounds of a histogram cell: percentiles are true to 15 %."""
CELLS = math.ceil(math.log(30 * 86_400 / LEAST) / math.log(STEP))
_BOUNDS = [LEAST * STEP**cell for cell in range(CELLS)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Runtime:
    """The run times of one queue, the recent ones counting more."""

    count: float
    """Runs, each worth less with its age."""
    mean: timedelta
    p50: timedelta
    p90: timedelta


@dataclass(slots=True)
class _Cells:
    """Weights of runs by length, all as of one moment."""

    at: datetime
    weights: dict[int, float] = field(default_factory=dict)
    seconds: float = 0.0

    def decay(self, now: datetime) -> None:
        """Bring the weights to `now`; a clock that was set back decays nothing."""
        if now <= self.at:
            return
        factor = 0.5 ** ((now - self.at) / HALF_LIFE)
        self.weights = {
            cell: kept for cell, weight in self.weights.items() if (kept := weight * factor) > 1e-6
        }
        self.seconds *= factor
        self.at = now

    @property
    def count(self) -> float:
        return math.fsum(self.weights.values())


class Runtimes:
    """Run times of every queue. Not thread-safe: a pass owns it."""

    def __init__(self) -> None:
        self._queues: dict[str, _Cells] = {}

    def add(self, queue: str, seconds: float, at: datetime, count: int = 1) -> None:
        """Count a run, or several of this mean length.

        Raises ValueError if its length is not a number of seconds from 0 up.
        """
        if not math.isfinite(seconds) or seconds < 0:
            raise ValueError(f"a task of queue {queue!r} ran for {seconds!r} s; 0 or more would be right")
        cells = self._queues.get(queue)
        if cells is None:
            if len(self._queues) >= MAX_QUEUES:
                self._queues.pop(min(self._queues, key=lambda name: self._queues[name].at))
            cells = self._queues[queue] = _Cells(at)
        cells.decay(at)
        # A run that is told of late is worth what it would be worth by now.
        weight = count * 0.5 ** ((cells.at - at) / HALF_LIFE)
        cell = max(0, bisect_right(_BOUNDS, seconds) - 1)
        cells.weights[cell] = cells.weights.get(cell, 0.0) + weight
        cells.seconds += weight * seconds

    def of(self, queue: str) -> Runtime | None:
        """What is known of a queue; None if nothing is."""
        cells = self._queues.get(queue)
        if cells is None or not (count := cells.count):
            return None
        return Runtime(
            count=count,
            mean=timedelta(seconds=cells.seconds / count),
            p50=_percentile(cells, 0.5),
            p90=_percentile(cells, 0.9),
        )

    def mean(self, queue: str) -> float | None:
        """Mean run time in seconds; None if nothing is known."""
        known = self.of(queue)
        return None if known is None else known.mean.total_seconds()

    def to_json(self) -> dict[str, Any]:
        """For the state file; bounded by the number of queues, never by the number of runs."""
        return {
            queue: {
                "at": cells.at.isoformat(),
                "seconds": cells.seconds,
                "cells": {str(cell): weight for cell, weight in sorted(cells.weights.items())},
            }
            for queue, cells in sorted(self._queues.items())
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Runtimes:
        """Read what `to_json` wrote. What cannot be read is left out: it is learnt again."""
        runtimes = cls()
        for queue, entry in found.items():
            try:
                at = datetime.fromisoformat(entry["at"])
                weights = {int(cell): float(weight) for cell, weight in entry["cells"].items()}
                seconds = float(entry["seconds"])
            except (KeyError, TypeError, ValueError, AttributeError):
                continue
            sane = all(0 <= cell < CELLS and 0 < weight < math.inf for cell, weight in weights.items())
            if sane and math.isfinite(seconds) and seconds >= 0 and len(runtimes._queues) < MAX_QUEUES:
                at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
                runtimes._queues[str(queue)] = _Cells(at, weights, seconds)
        return runtimes


def _percentile(cells: _Cells, share: float) -> timedelta:
    """The middle (geometric) of the cell in which this share of the weight is reached."""
    wanted, reached = share * cells.count, 0.0
    cell = 0
    for cell in sorted(cells.weights):
        reached += cells.weights[cell]
        if reached >= wanted:
            break
    return timedelta(seconds=_BOUNDS[cell] * math.sqrt(STEP) if cell else LEAST)
