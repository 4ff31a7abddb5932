"""First come, first served: where not all work of a priority has room, it is planned in the order in which it
came.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from itertools import groupby
from typing import Final

from scalelib.planning.kinds import Kind
from scalelib.planning.plan import Planning
from scalelib.planning.scene import Scene

MOST_TURNS: Final = 24
"""Turns that a priority is cut into at most; within one, work is placed as if it had come together."""

_Place = tuple[int, Kind, str, int]
"""(place in the line, kind, job, slots)."""


def is_contended(plan: Planning) -> bool:
    """Did work of a priority that fits somewhere go without a place, with other work beside it?"""
    stuck = {
        kind.priority
        for kind, left in plan.left.items()
        if left > plan.capped.get(kind, 0) and any(plan.catalogue.table(kind))
    }
    return any(sum(len(kind.jobs) for kind in plan.kinds if kind.priority == each) > 1 for each in stuck)


def in_turns(scene: Scene) -> Scene:
    """The same work, each priority cut into turns: what came first goes first."""
    place: dict[str, int] = {}
    for number, job in enumerate(scene.problem.jobs):
        if not job.executing_hostnames:
            place.setdefault(job.name, number)
    kinds: list[Kind] = []
    other = copy(scene)
    other.classes = []
    for (group,) in scene.classes:
        # What is in no line, the warm pool, comes last.
        line = [
            (place.get(name, len(scene.problem.jobs)), kind, name, n)
            for kind in group
            for name, n in kind.jobs
        ]
        other.classes.append([])
        for turn in _turns(sorted(line, key=lambda each: (each[0], each[1].no, each[2]))):
            made = [_part(kind, jobs, len(kinds) + i) for i, (kind, jobs) in enumerate(_by_kind(turn))]
            other.classes[-1].append(made)
            kinds += made
    other.kinds = kinds
    return other


def all_at_once(turns: Scene, plan: Planning) -> tuple[Scene, list[Kind]]:
    """What the plan in turns serves, as work that came together, and the rest after it, in its turns; and
    those kinds of it that are to be served.
    """
    other, kinds, first = copy(turns), [], []
    other.classes = []
    for group in turns.classes:
        served: dict[str, tuple[Kind, list[tuple[str, int]]]] = {}
        rest: list[list[Kind]] = []
        for turn in group:
            rest.append([])
            for kind in turn:
                have, over = _split(kind.jobs, kind.count - plan.left.get(kind, 0))
                served.setdefault(kind.key, (kind, []))[1].extend(have)
                if over:
                    rest[-1].append(_part(kind, over, 0))
        now = [_part(kind, jobs, 0) for kind, jobs in served.values() if jobs]
        first += now
        other.classes.append([now, *rest])
        kinds += [kind for turn in other.classes[-1] for kind in turn]
    for number, kind in enumerate(kinds):
        kind.no = number
    other.kinds = kinds
    return other, first


def _turns(line: Sequence[_Place]) -> list[list[_Place]]:
    """A turn for each run of equal work; if those are too many, as many parts of the line as may be."""
    runs = [list(run) for _, run in groupby(line, key=lambda each: each[1].no)]
    if len(runs) <= MOST_TURNS:
        return runs
    size = -(-len(line) // MOST_TURNS)
    return [list(line[first : first + size]) for first in range(0, len(line), size)]


def _by_kind(turn: Sequence[_Place]) -> list[tuple[Kind, list[tuple[str, int]]]]:
    """Each kind of the turn with its jobs, in the order of the line."""
    found: dict[int, tuple[Kind, list[tuple[str, int]]]] = {}
    for _, kind, name, slots in turn:
        found.setdefault(kind.no, (kind, []))[1].append((name, slots))
    return [found[no] for no in sorted(found)]


def _split(
    jobs: Sequence[tuple[str, int]], slots: int
) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """The first so many slots, and the others."""
    have, over = [], []
    for name, count in jobs:
        now = min(count, max(slots, 0))
        slots -= now
        have += [(name, now)] if now else []
        over += [(name, count - now)] if count > now else []
    return have, over


def _part(kind: Kind, jobs: list[tuple[str, int]], no: int) -> Kind:
    """Some of the jobs of a kind."""
    return replace(
        kind,
        no=no,
        jobs=jobs,
        count=sum(slots for _, slots in jobs),
        names=frozenset(name for name, _ in jobs),
    )
