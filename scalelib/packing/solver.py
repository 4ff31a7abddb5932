"""The optimal packer: column generation, then rounding, then an integer programme over the bins found.

1. The linear programme over bins (the configuration LP) is grown until no bin is missing. Its cost is a
   bound that no packing beats, and its duals are what each item is really worth.
2. The same with whole machines and parts of contents only: a bound that is often much higher.
3. Diving: whole bins of its answer are kept, the programme is solved again for what is left, and so on.
   At each step the greedy packer finishes what is left, at the duals; the cheapest total is kept.
4. A few machines at a time are taken apart and packed again.
5. If all bins that a better packing could hold are few, all of them are made known: then
6. HiGHS solves the integer programme over all bins known, starting from the best packing. If all are, its
   answer is the optimum, and its bound one on all packings.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scalelib.packing.greedy import Greedy, Packed
from scalelib.packing.master import Duals, Master
from scalelib.packing.meter import FILLED, Meter
from scalelib.packing.mixes import cheapest_mix
from scalelib.packing.pricing import Converged, Pricing
from scalelib.packing.problem import PackedBins, Problem
from scalelib.packing.rebuild import rebuild
from scalelib.packing.rounds import dearest
from scalelib.packing.values import Values

CLOSE_ENOUGH = 1e-4
"""A gap to the bound at which looking further is not worth the time."""
REBUILDS = 4000
WORTH_NAMING = 2e-3
"""A gap at which naming all bins is: with thousands of bins HiGHS looks at its clock too seldom."""
SHARE_OF_MIXES = 0.15
"""Part of the budget for the bound by whole machines."""
SHARE_OF_COLUMNS, SHARE_OF_DIVING, SHARE_OF_REBUILDING, SHARE_OF_ALL_BINS = 0.3, 0.45, 0.6, 0.65
"""Parts of the budget after which each step has to stop; the rest is for the integer programme."""

SHARE_OF_PROVING, SHARE_OF_ALL = 0.86, 0.9
"""The same if ceilings keep units out: then a bound for the others is proved in what is left of the time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Improved:
    """What the solver made of a packing."""

    packed: Packed
    bound: float
    """No packing of the units that it places costs less."""
    optimal: bool
    """Whether it is known to be the best, within rounding."""


def improve(
    problem: Problem,
    values: Values,
    best: Packed,
    seen: Iterable[PackedBins],
    *,
    start: float,
    budget: float,
    clock: Meter,
) -> Improved:
    """The best packing found until `budget` seconds after `start` by the clock, at least as good as `best`.

    `seen` are bins to start from.
    """
    master = Master(problem)
    for bins in seen:
        for offer, pattern, _ in bins:
            master.add(offer, pattern)
    pricing = Pricing(problem, master, clock)
    pricing.deadline = start + budget * SHARE_OF_COLUMNS
    converged = pricing.converge(problem.counts)
    bound = converged.bound
    rows: tuple[tuple[float, ...], ...] = ()
    if converged.complete and _gap(best, bound) > CLOSE_ENOUGH and not any(best.left):
        mix = cheapest_mix(
            problem,
            master.columns,
            known=bound,
            enough=best.price,
            clock=clock,
            deadline=min(clock() + budget * SHARE_OF_MIXES, start + budget * SHARE_OF_DIVING),
        )
        # Rows that tell little only slow the integer programme down.
        rows = mix.rows if mix.bound > bound * (1 + WORTH_NAMING) else ()
        bound = mix.bound
    if _gap(best, bound) > CLOSE_ENOUGH:
        pricing.deadline = start + budget * SHARE_OF_DIVING
        best = _dive(problem, values, master, pricing, best)
    if _gap(best, bound) > CLOSE_ENOUGH:
        pricing.deadline = start + budget * SHARE_OF_REBUILDING
        best = _rebuild(problem, values, master, pricing, best)
    end = start + budget * (SHARE_OF_PROVING if any(best.left) else SHARE_OF_ALL)
    if _gap(best, bound) > CLOSE_ENOUGH and clock() < end:
        pricing.deadline = start + budget * SHARE_OF_ALL_BINS
        all_known = _name_all(pricing, converged, best)
        whole = master.whole(best, clock, end, rows)
        best = whole.packed
        if all_known:
            bound = max(bound, min(whole.bound, best.price))
    if any(best.left):
        best = _fill(problem, values, best)
        placed = [count - left for count, left in zip(problem.counts, best.left, strict=True)]
        bound = _bound_for(problem, best, placed, clock, start + budget)
    return Improved(packed=best, bound=bound * (1 - 1e-9), optimal=_gap(best, bound) <= CLOSE_ENOUGH)


def _fill(problem: Problem, values: Values, packed: Packed) -> Packed:
    """Place what is left over wherever there is still room."""
    room = problem.room()
    for offer, _, times in packed.bins:
        room.take(offer, times)
    more = Greedy(problem, values.item, values.dimension).pack(packed.left, room)
    bins = [*packed.bins, *more.bins]
    return Packed(bins=bins, left=more.left, price=problem.price(bins))


def _bound_for(problem: Problem, best: Packed, placed: Sequence[int], clock: Meter, deadline: float) -> float:
    """What these units cost at least; the price of units that ceilings keep out has no part in it."""
    served = dataclasses.replace(problem, counts=tuple(placed))
    master = Master(served)
    for offer, pattern, _ in best.bins:
        master.add(offer, pattern)
    pricing = Pricing(served, master, clock)
    pricing.deadline = deadline
    return pricing.converge(placed).bound


def _gap(packed: Packed, bound: float) -> float:
    """How far a packing may be from the optimum; without end while units are left over."""
    if any(packed.left):
        return math.inf
    return packed.price / bound - 1 if bound > 0 else math.inf


def _name_all(pricing: Pricing, converged: Converged, best: Packed) -> bool:
    """Make every bin known that a better packing can hold. False if they are too many, or not worth it."""
    if not converged.complete or _gap(best, converged.bound) < WORTH_NAMING or any(best.left):
        return False
    return pricing.enumerate_all(converged.duals, best.price - converged.bound)


def _dive(problem: Problem, values: Values, master: Master, pricing: Pricing, best: Packed) -> Packed:
    """Keep whole bins of the linear answer, step by step; the cheapest completion is returned."""
    counts = list(problem.counts)
    room = problem.room()
    kept: PackedBins = []
    tried: PackedBins = []
    while any(counts) and not pricing.late():
        master.demand(counts, room)
        duals = pricing.polish(counts, rounds=3)
        worth = [max(money, low * 1e-6) for money, low in zip(duals.item, values.item, strict=True)]
        rest = Greedy(problem, worth, values.dimension).pack(counts, room.copy())
        pricing.clock.spend(FILLED * _pairs(problem))
        tried.extend(rest.bins)
        bins = [*kept, *rest.bins]
        whole = Packed(bins=bins, left=rest.left, price=problem.price(bins))
        best = min(best, whole, key=lambda packed: packed.order)
        step = _step(master, duals, counts)
        if not step:
            break
        for offer, contents, times in step:
            times = min(times, room.of(offer))
            for item, units in contents:
                counts[item] -= units * times
            room.take(offer, times)
            if times:
                kept.append((offer, contents, times))
    for offer, pattern, _ in tried:
        master.add(offer, pattern)
    return best


def _rebuild(problem: Problem, values: Values, master: Master, pricing: Pricing, best: Packed) -> Packed:
    """Take machines apart and pack them again; every bin that helped is made known."""
    worth = dearest(problem, values.item)
    one_try = FILLED * (20 * len(problem.offers) + _pairs(problem))

    def late() -> bool:
        pricing.clock.spend(one_try)
        return pricing.late()

    best, seen = rebuild(problem, best, worth, values.dimension, REBUILDS, late)
    for offer, pattern, _ in seen:
        master.add(offer, pattern)
    return best


def _pairs(problem: Problem) -> int:
    """Kinds of items and offers that hold them."""
    return sum(len(fits) for fits in problem.fits)


def _step(master: Master, duals: Duals, counts: list[int]) -> PackedBins:
    """Bins to keep now: all whole ones that the demand can fill, else the one nearest to whole."""
    left = list(counts)
    step: PackedBins = []
    for (offer, pattern), amount in zip(master.columns, duals.amounts, strict=True):
        times = math.floor(amount + 1e-6)
        if times > 0:
            times = min(times, *(left[item] // units for item, units in pattern))
            if times > 0:
                step.append((offer, pattern, times))
                for item, units in pattern:
                    left[item] -= units * times
    if step:
        return step
    for column in sorted(range(len(duals.amounts)), key=lambda c: (-duals.amounts[c], c)):
        offer, pattern = master.columns[column]
        contents = tuple((item, min(units, left[item])) for item, units in pattern if left[item])
        if duals.amounts[column] > 1e-6 and contents:
            return [(offer, contents, 1)]
    return []
