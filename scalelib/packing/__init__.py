"""Pack items into offers for the least money, under ceilings. Pure: no clock but the one handed in.

    pack(items, offers, pools) -> Packing

Serves as many units as the ceilings allow, then takes the cheapest mix, then the fewest machines. The cost
of packing grows with the number of distinct items and offers, never with their counts.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from scalelib.errors import InvalidInput
from scalelib.packing import values as worth
from scalelib.packing.greedy import Greedy, Packed
from scalelib.packing.meter import Meter
from scalelib.packing.model import Bin, Item, Offer, Packing, Pool
from scalelib.packing.problem import Problem, read
from scalelib.packing.rank import Choice, Rank, by_priority, least_waste, most_available
from scalelib.packing.rounds import best_of_rounds
from scalelib.packing.tidy import tidy
from scalelib.packing.values import Values

__all__ = [
    "Bin",
    "Choice",
    "Item",
    "Offer",
    "Packing",
    "Pool",
    "Rank",
    "by_priority",
    "has_solver",
    "least",
    "least_waste",
    "most_available",
    "pack",
]


def has_solver() -> bool:
    """Whether the optimal packer can be used: `highspy` is installed (the extra `solver`)."""
    return importlib.util.find_spec("highspy") is not None


def pack(
    items: Iterable[Item],
    offers: Iterable[Offer],
    pools: Iterable[Pool] = (),
    *,
    solver: bool = True,
    budget: float = 2.0,
    clock: Callable[[], float] | None = None,
    rank: Rank | None = None,
    quick: bool = False,
) -> Packing:
    """Place the items. The same input, in any order, gives the same packing.

    `solver` lets the optimal packer try to improve on the greedy one until `budget` seconds have passed in
    all, but for the loading of `highspy`; without that, or out of time, the best packing known decides.
    Seconds are counted by the steps that were taken (see `meter`), so that a machine that is busy or slow
    gives the same packing; with a `clock`, they go by that. With a `rank`, offers are taken in its order and
    money only breaks ties; the solver has no say. `quick` is one look, to compare with another one: a few
    packings by the greedy packer, and none is improved.

    Raises InvalidInput for negative amounts, a doubled key, an unknown pool or tuples of unequal length.
    """
    meter = Meter(clock)
    start = meter()
    if not budget >= 0:
        raise InvalidInput(f"budget: {budget}; must be a number of seconds, 0 or more")
    problem = read(items, offers, pools)
    values = worth.of(problem, problem.counts)
    if rank is not None:
        packed = Greedy(problem, values.item, values.dimension).pack(rank=rank)
        return _packing(problem, packed, _simple_bound(problem, values, packed), "greedy")
    if quick:
        packed = best_of_rounds(problem, values, effort=0).best
        return _packing(problem, packed, _simple_bound(problem, values, packed), "greedy")
    found = best_of_rounds(problem, values)
    bound = _simple_bound(problem, values, found.best)
    if not solver or not found.best.price or not has_solver():
        return _packing(problem, tidy(problem, values, found.best), bound, "greedy")

    # Here, since highspy is optional and slow to load: once, and that is no time that the search has had.
    loading = meter()
    from scalelib.packing.solver import improve

    start += meter() - loading
    improved = improve(problem, values, found.best, found.seen, start=start, budget=budget, clock=meter)
    decided_by: Literal["greedy", "solver"] = (
        "solver" if improved.optimal or improved.packed.order < found.best.order else "greedy"
    )
    if improved.packed.left == found.best.left:
        bound = max(bound, improved.bound)
    else:
        bound = max(_simple_bound(problem, values, improved.packed), improved.bound)
    return _packing(problem, tidy(problem, values, improved.packed), bound, decided_by)


def least(
    items: Iterable[Item],
    offers: Iterable[Offer],
    pools: Iterable[Pool] = (),
    *,
    enough: float,
    solver: bool = True,
    budget: float = 2.0,
    clock: Callable[[], float] | None = None,
) -> float:
    """A bound: no packing of all units costs less. Better ones are looked for until it reaches `enough`.

    Without the solver it is that of whole dimensions, or of the item that costs the most by itself.
    """
    problem = read(items, offers, pools)
    bound = max(worth.of(problem, problem.counts).bound, worth.dearest_alone(problem))
    if not solver or bound >= enough or not has_solver():
        return bound

    # Here, since highspy is optional and slow to load.
    from scalelib.packing.proof import bound_by_machines

    return max(bound, bound_by_machines(problem, enough=enough, budget=budget, clock=Meter(clock)))


def _simple_bound(problem: Problem, values: Values, packed: Packed) -> float:
    """What the units that were placed cost at least, by whole dimensions."""
    if not any(packed.left):
        return values.bound
    return worth.of(problem, _placed(problem, packed)).bound


def _placed(problem: Problem, packed: Packed) -> Sequence[int]:
    return [count - left for count, left in zip(problem.counts, packed.left, strict=True)]


def _packing(
    problem: Problem, packed: Packed, bound: float, decided_by: Literal["greedy", "solver"]
) -> Packing:
    unplaced = {item.key: left for item, left in zip(problem.items, packed.left, strict=True) if left}
    unplaced.update((item.key, item.count) for item in problem.never)
    bound = min(bound, packed.price)
    gap = 0.0 if not packed.price else packed.price / bound - 1 if bound > 0 else None
    return Packing(
        bins=problem.named(packed.bins),
        unplaced=dict(sorted(unplaced.items())),
        price=packed.price,
        bound=bound,
        decided_by=decided_by,
        gap=gap,
    )
