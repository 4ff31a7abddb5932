"""From slots of kinds to slots of jobs: which job's slots are on which machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from scalelib.planning.fleet import Cohort
from scalelib.planning.kinds import Kind

Run = tuple[int, dict[str, int]]
"""(so many machines in a row, jobs on each with their slots)."""


class JobQueue:
    """Hands out the slots (or gangs) of a kind, job by job."""

    def __init__(self, kind: Kind) -> None:
        self._jobs = kind.jobs
        self._at = 0
        self._left = kind.jobs[0][1] if kind.jobs else 0

    @property
    def ahead(self) -> int:
        """Slots left of the job whose turn it is."""
        return self._left

    def take(self, count: int, times: int = 1) -> dict[str, int]:
        """So many slots by the name of their job; `times` over, if the job whose turn it is has as many."""
        jobs, at, left = self._jobs, self._at, self._left
        if times > 1:
            given = {jobs[at][0]: count}
            left -= count * times
        else:
            given = {}
            # A hundred thousand jobs go through here, one after the other; no two have one name.
            while 0 < left <= count:
                given[jobs[at][0]] = left
                count -= left
                at += 1
                left = jobs[at][1] if at < len(jobs) else 0
            if left > count > 0:
                given[jobs[at][0]] = count
                left -= count
        if not left and at < len(jobs):
            at += 1
            left = jobs[at][1] if at < len(jobs) else 0
        self._at, self._left = at, left
        return given


class Dealer:
    """Deals the jobs of each kind out, in order of their names."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._queues = {kind.no: JobQueue(kind) for kind in kinds}

    def deal(self, cohort: Cohort) -> list[Run]:
        """The jobs of each machine of a cohort, machines with equal ones together."""
        if not cohort.slots:
            return [(cohort.count, dict(cohort.named))]
        runs: list[Run] = []
        left = cohort.count
        while left > 0:
            alike = min(self._queues[no].ahead // slots for no, slots in cohort.slots.items())
            count = max(min(alike, left), 1)
            jobs = dict(cohort.named)
            for no, slots in cohort.slots.items():
                add(jobs, self._queues[no].take(slots, count))
            runs.append((count, jobs))
            left -= count
        return runs


def add(jobs: dict[str, int], more: Mapping[str, int], times: int = 1) -> None:
    """Add slots by job to those that are there already, so many times over."""
    if times == 1 and jobs.keys().isdisjoint(more):
        jobs.update(more)  # by far the most common
        return
    for name, slots in more.items():
        jobs[name] = jobs.get(name, 0) + slots * times


def undealt(kind: Kind, left: int) -> list[tuple[str, int]]:
    """(job, slots) that got no place, given how many slots of the kind are left: the last ones by name."""
    found = []
    for name, slots in reversed(kind.jobs):
        if left <= 0:
            break
        found.append((name, min(slots, left)))
        left -= slots
    return found[::-1]
