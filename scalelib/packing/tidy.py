"""Running machines cost nothing, so money does not say which to use: use the fewest, the fullest first."""

from __future__ import annotations

from scalelib.packing.greedy import Greedy, Packed
from scalelib.packing.problem import Problem
from scalelib.packing.values import Values


def tidy(problem: Problem, values: Values, packed: Packed) -> Packed:
    """What is on running machines packed again onto running machines, lower tiers first; if it all fits.

    Machines that are bought stay as they are. So does everything if units are left over: a machine that
    this frees might hold one.
    """
    if any(packed.left):
        return packed
    running = [one for one in packed.bins if not problem.offers[one[0]].price]
    bought = [one for one in packed.bins if problem.offers[one[0]].price]
    counts = [0] * len(problem.items)
    room = problem.room()
    for offer, _, times in bought:
        room.take(offer, times)
    for number, one in enumerate(problem.offers):
        if one.price:
            room.offers[number] = 0
    for _, pattern, times in running:
        for item, units in pattern:
            counts[item] += units * times
    again = Greedy(problem, values.item, values.dimension).pack(counts, room)
    if any(again.left):
        return packed
    if _by_tier(problem, again.bins) >= _by_tier(problem, running):
        return packed
    return Packed(bins=[*again.bins, *bought], left=packed.left, price=packed.price)


def _by_tier(
    problem: Problem, bins: list[tuple[int, tuple[tuple[int, int], ...], int]]
) -> list[tuple[int, int]]:
    """(tier, machines used of it), highest tier first: fewer machines of late tiers are better."""
    used: dict[int, int] = {}
    for offer, _, times in bins:
        tier = problem.offers[offer].tier
        used[tier] = used.get(tier, 0) + times
    return sorted(used.items(), reverse=True)
