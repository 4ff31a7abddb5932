"""Column generation: find bins that are worth more, at the programme's prices, than they cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from scalelib.packing.highs import stubborn_contents
from scalelib.packing.knapsack import Best, Wanted, all_contents, best_contents
from scalelib.packing.master import Duals
from scalelib.packing.meter import PIVOT, SOLVED, Meter
from scalelib.packing.problem import Pattern, Problem

LEVELS = (40, 400, 4_000)
"""Branches that one search may look at. The next level is tried only when the last found nothing at all."""
STUBBORN_SECONDS = 0.4
"""What HiGHS gets for one knapsack that even the last level cannot settle."""
MOST_COLUMNS = 2_000
ENUMERATION_NODES = 30_000
"""When naming all bins stops: so many columns, or branches looked at for one offer."""


class Programme(Protocol):
    """A linear programme that bins are generated for."""

    def add(self, offer: int, pattern: Pattern) -> bool:
        """Make a bin known; False if it was."""

    def solve(self) -> Duals:
        """Solve it over the known bins."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Converged:
    """Where column generation ended."""

    duals: Duals
    bound: float
    """No packing of these counts costs less."""
    complete: bool
    """True: it ended because no bin is missing. False: out of time or of rounds."""


class Pricing:
    """Generates columns for a master programme until a deadline by the clock."""

    def __init__(self, problem: Problem, master: Programme, clock: Meter) -> None:
        self.problem = problem
        self.master = master
        self.clock = clock
        self.deadline = math.inf

    def converge(self, counts: Sequence[int]) -> Converged:
        """Add bins until none is missing or time is out."""
        bound = 0.0
        while True:
            duals = self.solve()
            new, ceilings = self.round(duals, counts)
            bound = max(bound, self._bound(duals, ceilings, counts))
            if not new or self.late():
                return Converged(duals=duals, bound=bound, complete=not new and not self.late())

    def polish(self, counts: Sequence[int], rounds: int) -> Duals:
        """Add the bins that are quick to find, for a few rounds."""
        duals = self.solve()
        for _ in range(rounds):
            new = 0
            for nodes in LEVELS[:2]:
                if not new:
                    new, _ = self._search(duals, counts, range(len(self.problem.offers)), nodes)
            if not new:
                break
            duals = self.solve()
        return duals

    def enumerate_all(
        self, duals: Duals, gap: float, *, most: int = MOST_COLUMNS, branches: int = ENUMERATION_NODES
    ) -> bool:
        """Add every bin that a packing cheaper by less than `gap` can hold. False if they are too many.

        A bin that costs more than `gap` above its worth is in no packing that is better than the best known
        one, where `gap` is what lies between that one and the bound of these duals.
        """
        counts = self.problem.counts
        room = most
        for offer, charge in enumerate(duals.charge):
            if self.late():
                return False
            for item in self.problem.shape(offer).alone:
                self.master.add(offer, ((item, 1),))
            patterns = all_contents(
                self.problem.offers[offer].capacity,
                self._wanted(offer, duals, counts),
                self.problem.needs,
                worth_over=charge - gap - 1e-9,
                most=room,
                nodes=branches,
                meter=self.clock,
            )
            if patterns is None:
                return False
            room -= len(patterns)
            for pattern in patterns:
                self.master.add(offer, pattern)
        return True

    def solve(self) -> Duals:
        """Solve the programme."""
        duals = self.master.solve()
        self.clock.spend(SOLVED + PIVOT * duals.steps)
        return duals

    def late(self) -> bool:
        """Whether the deadline has passed."""
        return self.clock() >= self.deadline

    def round(self, duals: Duals, counts: Sequence[int]) -> tuple[int, list[float]]:
        """Bins added, and per offer what a bin can be worth at most; harder and harder until one is found."""
        ceilings = [math.inf] * len(self.problem.offers)
        stuck: Iterable[int] = range(len(ceilings))
        for nodes in LEVELS:
            new, found = self._search(duals, counts, stuck, nodes)
            for offer, ceiling in found.items():
                ceilings[offer] = min(ceilings[offer], ceiling)
            stuck = [o for o, ceiling in enumerate(ceilings) if ceiling > duals.charge[o] * (1 + 1e-6)]
            if new or not stuck or self.late():
                return new, ceilings
        for offer in stuck:
            if self.late():
                break
            best = stubborn_contents(
                self.problem.offers[offer].capacity,
                self._wanted(offer, duals, counts),
                self.problem.needs,
                worth_over=_more_than(duals.charge[offer]),
                meter=self.clock,
                deadline=min(self.deadline, self.clock() + STUBBORN_SECONDS),
            )
            ceiling = max(best.at_most, self._alone(offer, duals, counts))
            ceilings[offer] = min(ceilings[offer], ceiling)
            if best.pattern and self.master.add(offer, best.pattern):
                return 1, ceilings
        return 0, ceilings

    def _search(
        self, duals: Duals, counts: Sequence[int], offers: Iterable[int], nodes: int
    ) -> tuple[int, dict[int, float]]:
        """One search of so many branches for each offer: bins added, and what a bin can be worth at most."""
        new = 0
        ceilings = {}
        for offer in offers:
            if self.late():
                break
            over = _more_than(duals.charge[offer])
            best: Best = best_contents(
                self.problem.offers[offer].capacity,
                self._wanted(offer, duals, counts),
                self.problem.needs,
                worth_over=over,
                nodes=nodes,
                meter=self.clock,
            )
            ceilings[offer] = max(best.at_most, self._alone(offer, duals, counts))
            if best.pattern:
                new += self.master.add(offer, best.pattern)
            for item in self.problem.shape(offer).alone:
                if counts[item] and duals.item[item] > over:
                    new += self.master.add(offer, ((item, 1),))
        return new, ceilings

    def _wanted(self, offer: int, duals: Duals, counts: Sequence[int]) -> list[Wanted]:
        """What may share a bin of this offer."""
        most = self.problem.most_per_bin
        return [
            (item, duals.item[item], min(counts[item], most[item]))
            for item in self.problem.shape(offer).shared
            if counts[item]
        ]

    def _alone(self, offer: int, duals: Duals, counts: Sequence[int]) -> float:
        """The most that one unit with a bin for itself is worth."""
        return max(
            (duals.item[item] for item in self.problem.shape(offer).alone if counts[item]), default=0.0
        )

    def _bound(self, duals: Duals, ceilings: Sequence[float], counts: Sequence[int]) -> float:
        """The cost that these prices prove, after making them ones that no bin beats.

        Where a bin may still be worth more than its charge, an offer that costs nothing is charged the
        difference for each of its bins; for the others all prices are scaled down until none is (Farley).
        """
        worth = sum(y * count for y, count in zip(duals.item, counts, strict=True)) + duals.ceilings
        scale = 1.0
        for offer, ceiling, charge in zip(self.problem.offers, ceilings, duals.charge, strict=True):
            over = ceiling - charge
            if over <= 0:
                continue
            if offer.price > 0:
                scale = min(scale, offer.price / (offer.price + over))
            elif offer.most is None:
                return 0.0
            else:
                worth -= over * offer.most
        return max(worth * scale, 0.0)


def _more_than(charge: float) -> float:
    """What a bin must be worth to be of use: rounding must not make one."""
    return charge * (1 + 1e-7) + 1e-9
