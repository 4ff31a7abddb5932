"""Machines that are there, as the packer sees them: equal ones together, as one offer that costs nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from scalelib import packing
from scalelib.planning.catalogue import Level
from scalelib.planning.fleet import Amounts, Cohort, Fleet
from scalelib.planning.kinds import Kind

MOST_STOCKS: Final = 200
"""Kinds of machine that are there, as they are; of more, those are one that can be filled with the same."""

_ANOTHERS: Final = 10
"""Comes on top of the tier of a machine that was bought for other work: it comes last of those there are."""


def stock_of(fleet: Fleet, at: Mapping[Kind, Level]) -> dict[str, list[Cohort]]:
    """Machines that may have room for something here, equal ones together."""
    needs = [fleet.needs(kind, level[0]) for kind, level in at.items()]
    least = [min(amounts) for amounts in zip(*needs, strict=True)]
    together: dict[tuple[object, ...], list[Cohort]] = {}
    for cohort in fleet.cohorts:
        if cohort.closed or any(free < need for free, need in zip(cohort.free, least, strict=True)):
            continue
        key = (cohort.is_anothers, cohort.tier, cohort.machine, cohort.free, cohort.empty)
        together.setdefault(key, []).append(cohort)
    if len(together) > MOST_STOCKS:
        together = _alike(fleet, at, needs, [cohort for each in together.values() for cohort in each])
    return {f"s{i:06d}": cohorts for i, cohorts in enumerate(together.values())}


def _alike(
    fleet: Fleet, at: Mapping[Kind, Level], needs: Sequence[Amounts], cohorts: Sequence[Cohort]
) -> dict[tuple[object, ...], list[Cohort]]:
    """Machines of a bucket that can be filled with the same, if not all have the same.

    Workers tell their memory to the megabyte, and tasks ask for round amounts: of what no sum of those
    comes to, a machine may have more or less.
    """
    steps = [math.gcd(*amounts) or 1 for amounts in zip(*needs, strict=True)]
    tables = [fleet.catalogue.table(kind) for kind in at if looks_at_the_machine(kind)]
    ways: dict[int, tuple[object, ...]] = {}
    together: dict[tuple[object, ...], list[Cohort]] = {}
    for cohort in cohorts:
        machine = cohort.machine
        if machine not in ways:
            opened_by = fleet.catalogue.opened_by(machine)
            ways[machine] = (opened_by, *(table[machine] for table in tables))
        filled = tuple(free // step for free, step in zip(cohort.free, steps, strict=True))
        place = (cohort.bucket_id, cohort.group)
        key = (cohort.is_anothers, cohort.tier, place, ways[machine], filled, cohort.empty)
        together.setdefault(key, []).append(cohort)
    return together


def looks_at_the_machine(kind: Kind) -> bool:
    """Does more than what a machine has left decide whether it holds the kind?"""
    way = kind.alternatives[0]
    return bool(way.tests or way.sharing or len(kind.alternatives) > 1)


def draw(fleet: Fleet, cohorts: list[Cohort], count: int) -> list[Cohort]:
    """So many machines out of equal cohorts; what is drawn is taken off the list."""
    drawn = []
    while count > 0:
        cohort = cohorts[0]
        part = fleet.part(cohort, count)
        if part is cohort:
            cohorts.pop(0)
        drawn.append(part)
        count -= part.count
    return drawn


def stock_offer(key: str, cohorts: Sequence[Cohort]) -> packing.Offer:
    """Machines that are there and hold the same, as the packer sees them."""
    free = cohorts[0].free if len(cohorts) == 1 else map(min, zip(*(c.free for c in cohorts), strict=True))
    return packing.Offer(
        key=key,
        capacity=tuple(max(amount, 0) for amount in free),
        price=0.0,
        most=sum(cohort.count for cohort in cohorts),
        tier=int(cohorts[0].tier) + _ANOTHERS * cohorts[0].is_anothers,
    )
