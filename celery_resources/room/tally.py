"""How often and for how long the tasks of a queue ran on this node, so that nobody has to be told of each."""

from __future__ import annotations

MOST_QUEUES = 50
"""Queues that are told of: those that had a task last."""


class Tally:
    """Runs that ended since the worker started, by queue."""

    def __init__(self) -> None:
        self._queues: dict[str, list[float]] = {}

    def add(self, queue: str, seconds: float) -> None:
        """One run ended, however it ended: it took a place for so long."""
        runs = self._queues.pop(queue, None)
        if runs is None:
            runs = [0, 0.0]
            if len(self._queues) >= MOST_QUEUES:
                del self._queues[next(iter(self._queues))]
        runs[0] += 1
        runs[1] += max(0.0, seconds)
        # Entered anew: the one that had no task for longest stands first.
        self._queues[queue] = runs

    def told(self) -> dict[str, list[float]]:
        """By queue: the number of runs, and their seconds in all."""
        return {queue: [runs, round(seconds, 3)] for queue, (runs, seconds) in self._queues.items()}
