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
        self._last: tuple[str, str, list[float], list[float]] | None = None
        """What ran last, with where it is counted: nearly always it is what runs next."""

    def add(self, queue: str, seconds: float, name: str = "") -> None:
        """One run ended, however it ended: it took a place for so long."""
        if self._last is None or self._last[0] != queue or self._last[1] != name:
            of_name = _latest(self._names, (queue, name), MOST_NAMES) if name else [0, 0.0]
            self._last = (queue, name, _latest(self._queues, queue, MOST_QUEUES), of_name)
        for runs in self._last[2:]:
            runs[0] += 1
            runs[1] += seconds if seconds > 0 else 0.0

    def told(self) -> dict[str, list[float]]:
        """By queue: the number of runs, and their seconds in all."""
        return {queue: [runs, round(seconds, 3)] for queue, (runs, seconds) in self._queues.items()}

    def told_by_name(self) -> dict[str, dict[str, list[float]]]:
        """By queue and name of the task: the same."""
        told: dict[str, dict[str, list[float]]] = {}
        for (queue, name), (runs, seconds) in self._names.items():
            told.setdefault(queue, {})[name] = [runs, round(seconds, 3)]
        return told


def _latest(counts: dict[K, list[float]], key: K, most: int) -> list[float]:
    runs = counts.pop(key, None)
    if runs is None:
        runs = [0, 0.0]
        if len(counts) >= most:
            del counts[next(iter(counts))]
    # Entered anew: the one that had no task for longest stands first.
    counts[key] = runs
    return runs
