"""What passes have counted, for as long as the state file lives, to be told as metrics. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec

TALLY = "tally"
"""Name of the fact."""

MOST_KINDS = 100
"""Kinds of task (queues) that are counted one by one; those that come later are counted together."""

WAIT_EDGES = (5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)
"""Seconds that tasks wait, as the histogram divides them."""
PASS_EDGES = (0.25, 1.0, 2.5, 5.0, 15.0)
"""The same of how long a pass takes."""


class Histogram(msgspec.Struct, kw_only=True):
    """How many were no longer than each edge and longer than the one before; the last: longer than any."""

    counts: list[int] = []
    sum: float = 0.0

    def add(self, values: Iterable[float], edges: tuple[float, ...]) -> None:
        """Count these. Edges that are not those of before begin anew."""
        if len(self.counts) != len(edges) + 1:
            self.counts, self.sum = [0] * (len(edges) + 1), 0.0
        for value in values:
            self.counts[bisect_left(edges, value)] += 1
            self.sum += value


class Kind(msgspec.Struct, kw_only=True):
    """One kind of task."""

    runs: int = 0
    failures: int = 0


class Tally(msgspec.Struct, kw_only=True):
    """All that is counted."""

    failed_passes: int = 0
    failed_actions: int = 0
    failed_alarms: int = 0
    launched: dict[str, int] = {}
    """Nodes, by bucket (`BucketSaw.name`)."""
    gone: dict[str, int] = {}
    """Nodes that are no longer there, by why they went; `itself`: nobody of us ended it."""
    money: float = 0.0
    waits: Histogram = msgspec.field(default_factory=Histogram)
    passes: Histogram = msgspec.field(default_factory=Histogram)
    kinds: dict[str, Kind] = {}
    others: Kind = msgspec.field(default_factory=Kind)
    """All kinds that are not in `kinds`, together."""

    def kind(self, queue: str) -> Kind:
        """Where this kind is counted: by itself, as long as there are few enough."""
        if queue not in self.kinds and len(self.kinds) < MOST_KINDS:
            self.kinds[queue] = Kind()
        return self.kinds.get(queue, self.others)

    def count_tasks(self, runs: Mapping[str, int], failures: Mapping[str, int]) -> None:
        """What became of tasks, by queue."""
        for queue, count in runs.items():
            self.kind(queue).runs += count
        for queue, count in failures.items():
            self.kind(queue).failures += count

    def know(self, queues: Collection[str], busy: Iterable[str]) -> None:
        """These are all the kinds that there are: others make room. Those with work have a place first."""
        self.kinds = {queue: kind for queue, kind in self.kinds.items() if queue in queues}
        for queue in busy:
            self.kind(queue)


def read(found: Any) -> Tally:
    """What was written down; from nothing where that cannot be read (it is of another version)."""
    try:
        return msgspec.convert(found or {}, Tally)
    except msgspec.ValidationError:
        return Tally()


def add(counts: dict[str, int], more: Mapping[str, int]) -> None:
    """So many more of each."""
    for name, count in more.items():
        counts[name] = counts.get(name, 0) + count
