"""What a unit of each item is worth: the money that the cheapest mix of offers pays for what it needs.

A small linear programme over whole dimensions gives each dimension a price (money for one core, one byte,
one GPU) such that no offer is worth more than it costs. At these prices the demand is worth as much as
the cheapest mix of offers that has enough of everything: a proven bound, and a good first estimate of the
worth of each item.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scalelib.packing.linear import maximise
from scalelib.packing.problem import Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class Values:
    """Prices of dimensions and the worth of items at them."""

    dimension: tuple[float, ...]
    """Money for one unit of each dimension."""
    item: tuple[float, ...]
    """Money for one unit of each item at these prices; never 0."""
    bound: float
    """No packing of the demand costs less."""


def of(problem: Problem, counts: Sequence[int]) -> Values:
    """Prices of dimensions that no offer beats, and what they make of a demand of so many units."""
    dimensions = len(problem.offers[0].capacity) if problem.offers else 0
    demand = [0] * dimensions
    for count, needs in zip(counts, problem.needs, strict=True):
        for d, amount in needs:
            demand[d] += count * amount
    free = [0] * dimensions
    """What running machines have; what they take off the demand costs nothing."""
    unlimited = False
    for offer in problem.offers:
        if offer.price == 0:
            if offer.most is None:
                unlimited = True
            else:
                for d in range(dimensions):
                    free[d] += offer.most * offer.capacity[d]
    priced = [offer for offer in problem.offers if offer.price > 0]
    scale = [max((offer.capacity[d] for offer in priced), default=0) or 1 for d in range(dimensions)]
    rows = [[offer.capacity[d] / scale[d] for d in range(dimensions)] for offer in priced]
    gains = [max(demand[d] - free[d], 0) / scale[d] for d in range(dimensions)]
    bounded = not unlimited and any(gains)
    if not bounded:
        gains = [demand[d] / scale[d] for d in range(dimensions)]
    scaled, _ = maximise(gains, rows, [offer.price for offer in priced])
    over = (
        max(
            (sum(x * share for x, share in zip(scaled, row, strict=True)) / offer.price)
            for row, offer in zip(rows, priced, strict=True)
        )
        if priced
        else 1.0
    )
    dimension = [x / s / max(over, 1.0) for x, s in zip(scaled, scale, strict=True)]
    # Running machines count at these prices too, so that the bound holds for any split of the demand.
    worth = sum(x * (asked - had) for x, asked, had in zip(dimension, demand, free, strict=True))
    smallest = min((offer.price for offer in priced), default=1.0) * 1e-6
    return Values(
        dimension=tuple(dimension),
        item=tuple(sum(amount * dimension[d] for d, amount in needs) + smallest for needs in problem.needs),
        bound=max(worth, 0.0) * (1 - 1e-9) if bounded else 0.0,
    )


def dearest_alone(problem: Problem) -> float:
    """What the item that costs the most by itself costs at least, with all running machines for it alone.

    Where running machines have enough of every dimension, they may still be too few, or none that it may use.
    """
    left = [float(count) for count in problem.counts]
    cheapest = [math.inf] * len(left)
    for number, offer in enumerate(problem.offers):
        shape = problem.shape(number)
        for item in shape.fits:
            units = min(problem.counts[item], problem.most_per_bin[item])
            for d, amount in problem.needs[item]:
                units = min(units, shape.capacity[d] // amount)
            if offer.price:
                cheapest[item] = min(cheapest[item], offer.price / units)
            else:
                left[item] -= units * (problem.counts[item] if offer.most is None else offer.most)
    costs = [units * each for units, each in zip(left, cheapest, strict=True) if units > 0]
    return max((each for each in costs if not math.isinf(each)), default=0.0) * (1 - 1e-9)
