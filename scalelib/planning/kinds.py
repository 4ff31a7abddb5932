"""Jobs that ask for the same, taken together: the cost of a plan grows with kinds of job, not with jobs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter

from scalelib.constraints import Constraint
from scalelib.constraints.alternatives import Alternative, Sharing, alternatives
from scalelib.job import Job

_CONSTRAINTS = attrgetter("constraints")
_OTHERS = attrgetter("priority", "node_count", "colocated", "exclusive")
_encode = json.JSONEncoder(sort_keys=True, default=str).encode


@dataclass(eq=False, kw_only=True, slots=True)
class Kind:
    """Jobs with equal requirements and priority."""

    no: int
    """Its place among the kinds; the same for the same jobs in any order."""
    constraint: Constraint
    alternatives: tuple[Alternative, ...]
    """Best first; `exclusive` of the job is in their sharing already."""
    node_count: int
    """Nodes of a gang; 0 for jobs of single slots."""
    colocated: bool
    priority: int
    jobs: list[tuple[str, int]]
    """(name, slots), by name. With `node_count`, a slot is a gang."""
    count: int
    """Slots of all of them."""
    names: frozenset[str] = frozenset()
    """Of the jobs."""
    key: str = ""
    """What it asks for; equal for kinds that ask for the same."""

    sharing: Sharing = field(init=False)
    """The strictest of the alternatives'."""
    grouped: bool = field(init=False)
    """Do its nodes have to be in a placement group?"""
    plain: bool = field(init=False)
    """Single slots that go wherever there is room: what the packer can place."""

    def __post_init__(self) -> None:
        self.sharing = max((each.sharing for each in self.alternatives), default=Sharing.ANYBODY)
        self.grouped = self.colocated or any(each.grouped for each in self.alternatives)
        own = bool(self.sharing) and any(way.sharing is Sharing.SAME_JOB for way in self.alternatives)
        self.plain = not self.node_count and not self.grouped and not own


def kinds_of(jobs: Iterable[Job]) -> list[Kind]:
    """The kinds, higher priority first and then in an order that only depends on what they ask for."""
    found: dict[object, list[Job]] = {}
    jobs = list(jobs)
    # Equal constraints are mostly the same object (see `constraints.parse`): a cheap first sieve.
    constraints = map(id, map(_CONSTRAINTS, jobs))
    for key, job in zip(zip(map(_OTHERS, jobs), constraints, strict=True), jobs, strict=True):
        if key in found:
            found[key].append(job)
        else:
            found[key] = [job]
    merged: dict[tuple[int, str], tuple[list[Job], tuple[Alternative, ...]]] = {}
    for group in found.values():
        ways = _alternatives(group[0])
        for key_, part in _split(group, ways):
            merged.setdefault((-group[0].priority, key_), ([], ways))[0].extend(part)
    return [_kind(no, key[1], *merged[key]) for no, key in enumerate(sorted(merged))]


def _split(group: list[Job], ways: tuple[Alternative, ...]) -> list[tuple[str, list[Job]]]:
    """The group with its canonical key; job by job if nodes are not to be shared between jobs."""
    key = _canonical(group[0])
    if not any(way.sharing is Sharing.SAME_JOB for way in ways):
        return [(key, group)]
    return [(f"{key} {job.name}", [job]) for job in group]


def _canonical(job: Job) -> str:
    node_count = 0 if job.node_count == 1 and not job.colocated else job.node_count
    return _encode([job.constraints.to_json(), node_count, job.colocated, job.exclusive])


def _alternatives(job: Job) -> tuple[Alternative, ...]:
    ways = alternatives(job.constraints)
    if not job.exclusive:
        return ways
    return tuple(Alternative(way.needs, way.tests, Sharing.NOBODY, way.shared) for way in ways)


def _kind(no: int, key: str, jobs: list[Job], ways: tuple[Alternative, ...]) -> Kind:
    first = jobs[0]
    slots = {job.name: job.iterations for job in jobs}
    if len(slots) < len(jobs):  # some have the same name
        slots = dict.fromkeys(slots, 0)
        for job in jobs:
            slots[job.name] += job.iterations
    return Kind(
        no=no,
        constraint=first.constraints,
        alternatives=ways,
        node_count=0 if first.node_count == 1 and not first.colocated else first.node_count,
        colocated=first.colocated,
        priority=first.priority,
        jobs=[(name, slots[name]) for name in sorted(slots)],
        count=sum(slots.values()),
        names=frozenset(slots),
        key=key,
    )
