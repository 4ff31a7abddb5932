"""Take a few machines apart, pack what was on them again, and keep that if it is no worse.

What whole packings get wrong is mostly at their edges: a machine half empty, a large one for a small rest.
A few machines at a time are a small problem, which the greedy packer solves well after a handful of tries
with the worth of the items stirred a little. The draws come from a fixed seed, so that the same input gives
the same packing. Only for packings of few machines: with many, the edges do not matter.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Collection, Sequence

from scalelib.packing.greedy import Greedy, Packed
from scalelib.packing.problem import PackedBins, Pattern, Problem

MOST_BINS = 150
STIR = 0.3
"""How much the worth of an item varies from try to try."""
APART = (2, 2, 3, 3, 4, 5)
"""How many machines to take apart."""


def never() -> bool:
    """No deadline."""
    return False


def rebuild(
    problem: Problem,
    packed: Packed,
    worth: Sequence[float],
    dimension: Sequence[float],
    tries: int,
    late: Callable[[], bool] = never,
) -> tuple[Packed, PackedBins]:
    """The packing after so many tries (fewer for few machines), and all bins that made it better."""
    total = sum(times for _, _, times in packed.bins)
    seen: PackedBins = []
    if not 1 < total <= MOST_BINS:
        return packed, seen
    tries = min(tries, total * total)
    draw = random.Random(total)
    bins = [(offer, pattern) for offer, pattern, times in packed.bins for _ in range(times)]
    left = list(packed.left)
    room = problem.room()
    for offer, _ in bins:
        room.take(offer, 1)
    parts: dict[frozenset[int], Problem] = {}
    for _ in range(tries):
        if late():
            break
        draw.shuffle(bins)
        apart = min(draw.choice(APART), len(bins))
        before, kept = bins[:apart], bins[apart:]
        counts = left[:]
        room_then = room.copy()
        for offer, pattern in before:
            room_then.take(offer, -1)
            for item, units in pattern:
                counts[item] += units
        wanted = frozenset(item for item, count in enumerate(counts) if count)
        if wanted not in parts:
            parts[wanted] = _only(problem, wanted)
        stirred = [money * (1 + STIR * (draw.random() - 0.5)) for money in worth]
        after = Greedy(parts[wanted], stirred, dimension).pack(counts, room_then)
        old = _as_packed(problem, before, left)
        if after.order <= old.order:
            if after.order < old.order:
                seen.extend(after.bins)
            bins = kept + [(offer, pattern) for offer, pattern, times in after.bins for _ in range(times)]
            left = list(after.left)
            room = room_then
    final = _as_packed(problem, bins, left)
    return min(packed, final, key=lambda one: one.order), seen


def _as_packed(problem: Problem, bins: Sequence[tuple[int, Pattern]], left: Sequence[int]) -> Packed:
    together: dict[tuple[int, Pattern], int] = {}
    for one in bins:
        together[one] = together.get(one, 0) + 1
    counted = [(offer, pattern, times) for (offer, pattern), times in sorted(together.items())]
    return Packed(bins=counted, left=tuple(left), price=problem.price(counted))


def _only(problem: Problem, items: Collection[int]) -> Problem:
    """The same problem, as if only these items could be placed."""
    return dataclasses.replace(problem, shapes=tuple(shape.only(items) for shape in problem.shapes))
