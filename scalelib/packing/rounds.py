"""Better greedy packings: pack, learn from the result what each item really cost, pack again.

The first worth of an item is its share of the cheapest bin that holds nothing else. After each round the
items of a bin share what the bin cost, by their worth so far; what ended up in a badly filled bin becomes
worth more and is packed earlier next time (sequential value correction). How many rounds there are depends
on the size of the problem alone, never on a clock, so that the same input gives the same packing anywhere.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scalelib.packing.greedy import Greedy, Packed
from scalelib.packing.problem import UNLIMITED, PackedBins, Problem
from scalelib.packing.rebuild import rebuild
from scalelib.packing.values import Values

WORK = 16_000
"""Rounds times (offer, item) pairs: about 0.1 s."""
MOST_ROUNDS = 40
FEWEST_ROUNDS = 5
SHAKES = 100
"""Packings with everything worth something else, of few pairs; where units are left over, until none is."""
SHAKEN = (0.3, 1.0, 2.0)
"""How much: worth and money are multiplied by e to the power of up to so much, up or down."""
REBUILDS = 100
REBUILDING_WORK = 200_000
"""Most tries to rebuild; and tries times what one has to look at, for problems of many offers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The best packing of all rounds, and the bins of every round."""

    best: Packed
    seen: tuple[PackedBins, ...]


def best_of_rounds(problem: Problem, values: Values, effort: int = 1) -> Found:
    """The best of as many rounds as the size of the problem allows, times `effort`; one at least.

    Without any effort it is a few rounds, and nothing is rebuilt.
    """
    pairs = sum(len(fits) for fits in problem.fits)
    rounds = max(1, min(MOST_ROUNDS, effort * WORK // max(pairs, 1))) if effort else FEWEST_ROUNDS
    dear = dearest(problem, values.item)
    starts = [
        dear,
        [math.sqrt(low * high) for low, high in zip(values.item, dear, strict=True)],
        list(values.item),
    ]
    tried: list[tuple[Packed, list[float]]] = []
    for worth in starts[:rounds]:
        tried.append((Greedy(problem, worth, values.dimension).pack(), worth))
    packed, worth = min(tried, key=lambda one: one[0].order)
    if any(packed.left):
        tried.append((_scarce(problem, values.dimension), worth))
    for _ in range(rounds - len(starts)):
        worth = learn(problem, packed.bins, worth, values.item, dear)
        packed = Greedy(problem, worth, values.dimension).pack()
        tried.append((packed, worth))
    best, _ = min(tried, key=lambda one: one[0].order)
    seen = [one.bins for one, _ in tried]
    if effort and (best.price or any(best.left)):
        for shaken in _shaken(problem, dear, values.dimension, min(SHAKES, WORK // (4 * max(pairs, 1)))):
            if shaken.order < best.order:
                best = shaken
                seen.append(shaken.bins)
    if best.price and effort:
        tries = min(REBUILDS, REBUILDING_WORK // (pairs + 20 * len(problem.offers)))
        best, rebuilt = rebuild(problem, best, dear, values.dimension, tries=tries * effort)
        seen.append(rebuilt)
    return Found(best=best, seen=tuple(seen))


def dearest(problem: Problem, least: Sequence[float]) -> list[float]:
    """Money for a unit of each item in the cheapest bin that holds only it: more than that it never costs.

    Items that only running machines can hold get more than any other, so that those are kept for them.
    """
    worth = [math.inf] * len(problem.items)
    cheapest: dict[int, float] = {}
    for number, offer in zip(problem.shape_of, problem.offers, strict=True):
        if offer.price > 0:
            cheapest[number] = min(offer.price, cheapest.get(number, math.inf))
    for number, price in cheapest.items():
        shape = problem.shapes[number]
        for item in shape.fits:
            units = problem.counts[item]
            if units > 1:
                units = min(units, problem.most_per_bin[item])
                for d, amount in problem.needs[item]:
                    units = min(units, shape.capacity[d] // amount)
            money = price / units
            if money < worth[item]:
                worth[item] = money
    more = 2 * max((money for money in worth if not math.isinf(money)), default=1.0)
    return [more + low if math.isinf(money) else money for money, low in zip(worth, least, strict=True)]


def learn(
    problem: Problem,
    bins: PackedBins,
    worth: Sequence[float],
    least: Sequence[float],
    most: Sequence[float],
) -> list[float]:
    """The worth of items halfway between what was thought and what they cost in these bins."""
    paid = [0.0] * len(worth)
    units_paid = [0] * len(worth)
    for offer, pattern, times in bins:
        price = problem.offers[offer].price
        if not price:
            continue
        share = price * times / sum(worth[item] * units for item, units in pattern)
        for item, units in pattern:
            paid[item] += worth[item] * units * share
            units_paid[item] += units * times
    return [
        min((thought + money / units) / 2, high) if units else (thought + low) / 2
        for thought, money, units, low, high in zip(worth, paid, units_paid, least, most, strict=True)
    ]


def _shaken(
    problem: Problem, worth: Sequence[float], dimension: Sequence[float], tries: int
) -> Iterator[Packed]:
    """Packings at a worth of the items, and at money for the bins, that chance has changed.

    Learning goes one way only. Under a ceiling that offers share, or with machines that are there already,
    the packing that holds everything may open bins that never look like the best ones.
    """
    if not tries:
        return
    draw = random.Random(0)
    # Equal machines stay equal, in whatever placement group they are.
    alike: dict[tuple[Sequence[int], float], int] = {}
    number = [alike.setdefault((offer.capacity, offer.price), len(alike)) for offer in problem.offers]
    holds = _holds(problem)
    for _ in range(tries):
        much = draw.choice(SHAKEN)
        dear = [math.exp(draw.uniform(-much, much)) for _ in alike]
        much = draw.choice(SHAKEN)
        stirred = [money * math.exp(draw.uniform(-much, much)) for money in worth]
        charge = [
            (offer.price or 1.0) * dear[each] for offer, each in zip(problem.offers, number, strict=True)
        ]
        by_tier, capped = draw.random() < 0.5, draw.random() < 0.5
        most = [draw.randint(1, units) if capped and draw.random() < 0.5 else units for units in holds]
        packed = Greedy(problem, stirred, dimension, charge, by_tier=by_tier, most=most).pack()
        if not (capped and any(packed.left)):  # or else there may be room for what is left
            yield packed


def _holds(problem: Problem) -> list[int]:
    """Units of each item that one bin holds at most."""
    holds = [0] * len(problem.items)
    for shape in problem.shapes:
        for item in shape.fits:
            units = min(problem.counts[item], problem.most_per_bin[item])
            for d, amount in problem.needs[item]:
                units = min(units, shape.capacity[d] // amount)
            holds[item] = max(holds[item], units)
    return holds


def _scarce(problem: Problem, dimension: Sequence[float]) -> Packed:
    """A packing for when ceilings leave units over: units are worth the same, bins cost what is scarce."""
    room = problem.room()
    charge = []
    for number, offer in enumerate(problem.offers):
        share = 1 / max(room.offers[number], 1)
        for pool, cores in problem.offer_pools[number]:
            share = max(share, 1 / max(room.nodes[pool], 1), cores / max(room.cores[pool], 1))
        charge.append(share + offer.price / UNLIMITED if offer.price else 1.0)
    return Greedy(problem, [1.0] * len(problem.items), dimension, charge).pack()
