"""A bound proved at leisure, to judge a packing by: three proofs, and the best of them counts.

Each holds for every packing of all units. None depends on which bins happened to be found: the first two end
with a search over all contents of a machine, and the third is used only if every bin that a cheaper packing
could hold has been named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from scalelib.packing.greedy import Packed
from scalelib.packing.master import Master
from scalelib.packing.meter import Meter
from scalelib.packing.mixes import cheapest_mix
from scalelib.packing.model import Item, Offer, Packing, Pool
from scalelib.packing.pricing import Pricing
from scalelib.packing.problem import PackedBins, Problem, read

SHARE_OF_COLUMNS, SHARE_OF_MIXES, SHARE_OF_ALL_BINS = 0.25, 0.65, 0.75
"""Parts of the budget after which each proof has to stop."""
MOST_COLUMNS = 20_000
MOST_BRANCHES = 1_000_000
"""Limits of naming all bins: bins in all, branches looked at for one offer."""
TOLERANCE = 1e-6
"""Share of a bound that is given up for rounding."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """No packing that places every unit costs less than `bound`."""

    bound: float
    by: str
    """`parts of machines` (the linear programme), `whole machines`, or `all bins` (the integer programme)."""


def prove(
    items: Iterable[Item],
    offers: Iterable[Offer],
    pools: Iterable[Pool] = (),
    *,
    packing: Packing,
    budget: float,
    clock: Callable[[], float] | None = None,
) -> Proof:
    """The best bound that `budget` seconds prove; `packing` is one that places all units, to be judged."""
    problem = read(items, offers, pools)
    best = _packed(problem, packing)
    meter = Meter(clock)
    start = meter()
    master = Master(problem)
    for offer, pattern, _ in best.bins:
        master.add(offer, pattern)
    pricing = Pricing(problem, master, meter)
    pricing.deadline = start + budget * SHARE_OF_COLUMNS
    parts = pricing.converge(problem.counts)
    proof = Proof(bound=parts.bound, by="parts of machines")
    if _reached(proof, best):
        return proof
    mix = cheapest_mix(
        problem,
        master.columns,
        known=parts.bound,
        enough=best.price,
        clock=meter,
        deadline=start + budget * SHARE_OF_MIXES,
    )
    if mix.bound > proof.bound:
        proof = Proof(bound=mix.bound, by="whole machines")
    if _reached(proof, best) or not parts.complete:
        return proof
    pricing.deadline = start + budget * SHARE_OF_ALL_BINS
    gap = best.price - parts.bound
    if pricing.enumerate_all(parts.duals, gap, most=MOST_COLUMNS, branches=MOST_BRANCHES):
        whole = master.whole(best, meter, start + budget, rows=mix.rows)
        bound = min(whole.bound, best.price) * (1 - TOLERANCE)
        if bound > proof.bound:
            proof = Proof(bound=bound, by="all bins")
    return proof


def bound_by_machines(problem: Problem, *, enough: float, budget: float, clock: Meter) -> float:
    """The best of the first two bounds that `budget` seconds prove, without a packing to judge."""
    start = clock()
    master = Master(problem)
    pricing = Pricing(problem, master, clock)
    pricing.deadline = start + budget * SHARE_OF_COLUMNS
    parts = pricing.converge(problem.counts)
    if not parts.complete or parts.bound >= enough * (1 - 100 * TOLERANCE):
        return parts.bound * (1 - TOLERANCE)
    mix = cheapest_mix(
        problem,
        master.columns,
        known=parts.bound,
        enough=enough,
        clock=clock,
        deadline=start + budget,
    )
    return max(parts.bound, mix.bound) * (1 - TOLERANCE)


def _reached(proof: Proof, best: Packed) -> bool:
    return proof.bound >= best.price * (1 - 100 * TOLERANCE)


def _packed(problem: Problem, packing: Packing) -> Packed:
    """A packing in words, in numbers again."""
    offers = {offer.key: number for number, offer in enumerate(problem.offers)}
    items = {item.key: number for number, item in enumerate(problem.items)}
    bins: PackedBins = [
        (offers[one.offer], tuple(sorted((items[key], n) for key, n in one.contents.items())), one.count)
        for one in packing.bins
    ]
    left = tuple(packing.unplaced.get(item.key, 0) for item in problem.items)
    return Packed(bins=bins, left=left, price=problem.price(bins))
