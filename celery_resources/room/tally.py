"""How often and for how long the tasks of a queue ran on this node, so that nobody has to be told of each."""

from __future__ import annotations

from typing import TypeVar

K = TypeVar("K")

MOST_QUEUES = 50
"""Queues that are told of: those that had a task last."""
MOST_NAMES = 30
"""The same of names of tasks, each counted once a queue."""


class Tally:
    """Runs that ended since the worker started, by queue, and in each by the name of the task."""

    def __init__(self) -> None:
        self._queues: dict[str, list[float]] = {}
        self._names: dict[tuple[str, str], list[float]] = {}

    def add(self, queue: str, seconds: float, name: str = "") -> None:
        """One run ended, however it ended: it took a place for so long."""
        _count(self._queues, queue, seconds, MOST_QUEUES)
        if name:
            _count(self._names, (queue, name), seconds, MOST_NAMES)

    def told(self) -> dict[str, list[float]]:
        """By queue: the number of runs, and their seconds in all."""
        return {queue: [runs, round(seconds, 3)] for queue, (runs, seconds) in self._queues.items()}

    def told_by_name(self) -> dict[str, dict[str, list[float]]]:
        """By queue and name of the task: the same."""
        told: dict[str, dict[str, list[float]]] = {}
        for (queue, name), (runs, seconds) in self._names.items():
            told.setdefault(queue, {})[name] = [runs, round(seconds, 3)]
        return told


def _count(counts: dict[K, list[float]], key: K, seconds: float, most: int) -> None:
    if counts and next(reversed(counts)) == key:
        # As nearly always: it was the last one before, too.
        last = counts[key]
        last[0] += 1
        last[1] += max(0.0, seconds)
        return
    runs = counts.pop(key, None)
    if runs is None:
        runs = [0, 0.0]
        if len(counts) >= most:
            del counts[next(iter(counts))]
    runs[0] += 1
    runs[1] += max(0.0, seconds)
    # Entered anew: the one that had no task for longest stands first.
    counts[key] = runs
