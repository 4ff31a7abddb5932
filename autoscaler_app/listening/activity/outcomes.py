"""What becomes of tasks, counted until somebody takes it: how long they waited, how they ended. Bounded."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

MAX_SENT = 100_000
MAX_WAITS = 10_000
MAX_KINDS = 2_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Ends:
    """What became of tasks in some time."""

    runs: Mapping[str, int] = field(default_factory=dict)
    """By queue: runs that ended well; of workers without task events, all that ended."""
    failures: Mapping[str, int] = field(default_factory=dict)
    """By queue: tasks that failed for good, as events told."""
    waits: tuple[float, ...] = ()
    """Of tasks that began: seconds since they were sent, where that was heard."""


class Outcomes:
    """Filled by what is heard. Only `Activity` touches it, under its lock."""

    def __init__(self) -> None:
        self._sent: OrderedDict[str, datetime] = OrderedDict()
        """Task id -> when it was heard that it was sent; those that have not begun, and are not for later."""
        self._waits: list[float] = []
        self._runs: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()

    def sent(self, task_id: str, at: datetime) -> None:
        """A task that is for now was sent."""
        self._sent[task_id] = at
        if len(self._sent) > MAX_SENT:
            self._sent.popitem(last=False)

    def began(self, task_id: str, at: datetime) -> None:
        """It began; told as often as one likes."""
        sent = self._sent.pop(task_id, None)
        if sent is not None and len(self._waits) < MAX_WAITS:
            self._waits.append(max(0.0, (at - sent).total_seconds()))

    def over(self, task_id: str) -> None:
        """It ended, whether it was heard to begin or not."""
        self._sent.pop(task_id, None)

    def ran(self, queue: str, count: int = 1) -> None:
        """So many runs ended well."""
        _count(self._runs, queue, count)

    def failed(self, queue: str) -> None:
        """A task failed for good."""
        _count(self._failures, queue, 1)

    def take(self) -> Ends:
        """What became of tasks since the last call."""
        ends = Ends(runs=self._runs, failures=self._failures, waits=tuple(self._waits))
        self._runs, self._failures, self._waits = Counter(), Counter(), []
        return ends


def _count(counter: Counter[str], queue: str, count: int) -> None:
    if queue and (queue in counter or len(counter) < MAX_KINDS):
        counter[queue] += count
