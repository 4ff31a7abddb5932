"""The most valuable contents of one bin: a knapsack with several dimensions, by branch and bound.

Prices for the dimensions (from the knapsack's own linear relaxation) turn all dimensions into one; what is
free, at these prices, spent on the items still to come, best worth first and parts of units allowed, bounds
what a branch can reach.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scalelib.packing.linear import maximise
from scalelib.packing.meter import BRANCH, WEIGHED, Meter
from scalelib.packing.problem import Pattern

Needs = tuple[tuple[int, int], ...]
Wanted = tuple[int, float, int]
"""(item number, worth of one unit, most units)."""

TOUCH = 1e-9
"""What an item weighs beside the dimensions it takes, by its worth. The budget has room for all of it, so
that an item that takes only dimensions without a price is no special case."""

DEEPEST = 300
"""Kinds of items in one bin, beyond which a search gives up rather than nest any deeper."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Best:
    """The best contents found, and what no contents can exceed."""

    worth: float
    pattern: Pattern
    at_most: float


def best_contents(
    capacity: Sequence[int],
    items: Sequence[Wanted],
    needs: Sequence[Needs],
    *,
    worth_over: float = 0.0,
    nodes: int = 2000,
    meter: Meter | None = None,
) -> Best:
    """The contents of most worth, if worth more than `worth_over`; else an empty pattern.

    `needs` is looked up by item number. After `nodes` branches the best so far is returned, and `at_most`
    falls back to the linear bound.
    """
    knapsack = _Knapsack.of(capacity, [one for one in items if one[1] > 0], needs)
    if meter is not None:
        meter.spend(WEIGHED * (1 + len(items)))
    if knapsack.ceiling + knapsack.given <= worth_over:
        return Best(worth=0.0, pattern=(), at_most=knapsack.ceiling + knapsack.given)
    search = _Best(knapsack, worth_over - knapsack.given, nodes)
    finished = search.run(0, list(capacity), knapsack.budget, 0.0)
    if meter is not None:
        meter.spend(BRANCH * (nodes - search.nodes))
    at_most = min(knapsack.ceiling, search.best) if finished else knapsack.ceiling
    return Best(
        worth=search.best + knapsack.given if search.better else 0.0,
        pattern=tuple(sorted((*search.found, *knapsack.gifts))) if search.better else (),
        at_most=at_most + knapsack.given,
    )


def all_contents(
    capacity: Sequence[int],
    items: Sequence[Wanted],
    needs: Sequence[Needs],
    *,
    worth_over: float,
    most: int,
    nodes: int,
    meter: Meter | None = None,
) -> list[Pattern] | None:
    """All contents worth more than `worth_over` to which nothing can be added; None if they are too many."""
    knapsack = _Knapsack.of(capacity, items, needs)
    if knapsack.ceiling + knapsack.given <= worth_over:
        return []
    if len(knapsack.rows) > DEEPEST:
        return None
    search = _All(knapsack, worth_over - knapsack.given, most, nodes)
    finished = search.run(0, list(capacity), knapsack.budget, 0.0)
    if meter is not None:
        meter.spend(BRANCH * (nodes - search.nodes))
    if not finished:
        return None
    return [tuple(sorted((*pattern, *knapsack.gifts))) for pattern in search.patterns]


Row = tuple[float, int, float, int, float, Needs]
"""(minus worth for weight, item number, worth, most units, weight at the prices, needs)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Knapsack:
    """A knapsack with one weight per item, beside its several dimensions."""

    rows: tuple[Row, ...]
    """Best worth for weight first."""
    budget: float
    """What an empty bin has of the one weight."""
    ceiling: float
    """No contents are worth more (what takes no space left out)."""
    gifts: Pattern
    """What takes no space is always in."""
    given: float
    """What the gifts are worth."""

    @classmethod
    def of(cls, capacity: Sequence[int], items: Sequence[Wanted], needs: Sequence[Needs]) -> _Knapsack:
        """Weigh the items that fit."""
        wanted: list[Wanted] = []
        gifts: list[Wanted] = []
        for item, worth, units in items:
            for d, amount in needs[item]:
                units = min(units, capacity[d] // amount)
            if units > 0:
                (wanted if needs[item] else gifts).append((item, worth, units))
        price, ceiling = _prices(capacity, wanted, needs)
        rows = []
        for item, worth, units in wanted:
            weight = sum(amount * price[d] for d, amount in needs[item]) + worth * TOUCH
            rows.append((-worth / weight if worth else 0.0, item, worth, units, weight, needs[item]))
        budget = sum(p * c for p, c in zip(price, capacity, strict=True))
        return cls(
            rows=tuple(sorted(rows)),
            budget=budget + TOUCH * sum(worth * units for _, worth, units in wanted),
            ceiling=ceiling,
            gifts=tuple((item, units) for item, _, units in gifts),
            given=sum(worth * units for _, worth, units in gifts),
        )

    def reach(self, start: int, budget: float) -> float:
        """What a budget buys at most of the items from `start` on, if it could buy parts of units."""
        worth = 0.0
        for poorness, _, each, units, weight, _ in self.rows[start:]:
            cost = weight * units
            if cost >= budget:
                return worth - poorness * budget
            worth += each * units
            budget -= cost
        return worth


class _Best:
    """Depth first; keeps the best contents seen."""

    def __init__(self, knapsack: _Knapsack, worth_over: float, nodes: int) -> None:
        self.knapsack = knapsack
        self.better = worth_over < 0
        self.best = max(worth_over, 0.0)
        self.found: Pattern = ()
        self.taken: list[tuple[int, int]] = []
        self.nodes = nodes

    def run(self, start: int, free: list[int], budget: float, worth: float) -> bool:
        """Try all contents with items from `start` on. False if the nodes ran out first."""
        self.nodes -= 1
        if self.nodes < 0 or len(self.taken) > DEEPEST:
            return False
        rows = self.knapsack.rows
        for position in range(start, len(rows)):
            poorness, item, each, units, weight, needs = rows[position]
            enough = self.best * (1 + 1e-9)
            if worth - budget * poorness <= enough:
                return True
            if worth + self.knapsack.reach(position, budget) <= enough:
                return True
            for d, amount in needs:
                units = min(units, free[d] // amount)
            while units > 0:
                if worth + units * each > self.best * (1 + 1e-9):
                    self.best = worth + units * each
                    self.better = True
                    self.found = (*self.taken, (item, units))
                rest = free[:]
                for d, amount in needs:
                    rest[d] -= amount * units
                self.taken.append((item, units))
                finished = self.run(position + 1, rest, budget - units * weight, worth + units * each)
                self.taken.pop()
                if not finished:
                    return False
                units -= 1
        return True


class _All:
    """Depth first through all full contents that are worth enough."""

    def __init__(self, knapsack: _Knapsack, worth_over: float, most: int, nodes: int) -> None:
        self.knapsack = knapsack
        self.worth_over = worth_over
        self.most = most
        self.nodes = nodes
        self.taken: list[tuple[int, int]] = []
        self.patterns: list[Pattern] = []

    def run(self, start: int, free: list[int], budget: float, worth: float) -> bool:
        """Note all contents that add items from `start` on. False if there are too many."""
        self.nodes -= 1
        if self.nodes < 0 or len(self.patterns) > self.most:
            return False
        if worth + self.knapsack.reach(start, budget) <= self.worth_over:
            return True
        if start == len(self.knapsack.rows):
            if self._is_full(free):
                self.patterns.append(tuple(self.taken))
            return True
        _, item, each, units, weight, needs = self.knapsack.rows[start]
        for d, amount in needs:
            units = min(units, free[d] // amount)
        while units > 0:
            rest = free[:]
            for d, amount in needs:
                rest[d] -= amount * units
            self.taken.append((item, units))
            finished = self.run(start + 1, rest, budget - units * weight, worth + units * each)
            self.taken.pop()
            if not finished:
                return False
            units -= 1
        return self.run(start + 1, free, budget, worth)

    def _is_full(self, free: Sequence[int]) -> bool:
        """Whether no unit that is not taken fits beside what is."""
        taken = dict(self.taken)
        return not any(
            taken.get(item, 0) < units and all(amount <= free[d] for d, amount in needs)
            for _, item, _, units, _, needs in self.knapsack.rows
        )


def _prices(
    capacity: Sequence[int], wanted: Sequence[Wanted], needs: Sequence[Needs]
) -> tuple[list[float], float]:
    """Prices of the dimensions that bound the worth of a bin best, and that bound.

    They are the dual of the linear relaxation. The bound is computed from the prices alone, whatever they
    are: a full bin at these prices, and what the items are worth above them.
    """
    rows = [[0.0] * len(wanted) for _ in capacity]
    for position, (item, _, _) in enumerate(wanted):
        for d, amount in needs[item]:
            rows[d][position] = amount / capacity[d]
    gains = [worth for _, worth, _ in wanted]
    most = [float(units) for _, _, units in wanted]
    _, shares = maximise(gains, rows, [1.0] * len(capacity), most)
    ceiling = sum(shares)
    for position, (_, worth, units) in enumerate(wanted):
        above = worth - sum(share * row[position] for share, row in zip(shares, rows, strict=True))
        if above > 0:
            ceiling += above * units
    return [share / (have or 1) for share, have in zip(shares, capacity, strict=True)], ceiling
