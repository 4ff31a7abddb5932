"""How many machines of each offer: a bound by whole machines, and the mixes that may reach it.

The linear programme over bins allows parts of machines. Here machines are whole and only their contents may
be in parts. Prices for the items say what a machine of each offer can hold at most (a knapsack), so the
machines of any packing together hold at least what all units are worth: one row on whole numbers of
machines, true for every packing whatever the prices are. HiGHS minimises the money under the rows known.
If parts of contents fit that mix, the bound is reached; if not, the programme that tried says which prices
speak against it: the next row (Benders).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scalelib.packing.highs import INFINITY, has_solution, make_whole, new_solver, run_until
from scalelib.packing.master import ROW_SLACK, Duals
from scalelib.packing.meter import Meter
from scalelib.packing.pricing import Pricing
from scalelib.packing.problem import UNLIMITED, Pattern, Problem

SAFE = 1e-6
"""Share of a bound that is given up, since HiGHS keeps rows within a hair only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mix:
    """The least money for whole machines, and machines for that money."""

    bound: float
    """No packing of all units costs less."""
    rows: tuple[tuple[float, ...], ...]
    """What one machine of each offer holds at most, as a share of all units, at some prices or other."""
    machines: tuple[int, ...] | None
    """Machines per offer that hold all units, if their contents may be in parts; None if not known."""


class Contents:
    """The linear programme over contents for given machines; more of them can be bought, in parts."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.columns: list[tuple[int, Pattern]] = []
        self._known: set[tuple[int, Pattern]] = set()
        self._solver = new_solver()
        self._first = len(problem.items)
        for count in problem.counts:
            self._solver.addRow(float(count), INFINITY, 0, [], [])
        for _ in problem.offers:
            self._solver.addRow(-INFINITY, 0.0, 0, [], [])
        penalty = 1000.0 * max((offer.price for offer in problem.offers), default=1.0)
        for item, count in enumerate(problem.counts):
            self._solver.addCol(penalty, 0.0, float(count), 1, [item], [1.0])
        for number, offer in enumerate(problem.offers):
            if offer.price:
                self._solver.addCol(offer.price, 0.0, INFINITY, 1, [self._first + number], [-1.0])

    def add(self, offer: int, pattern: Pattern) -> bool:
        """Make contents known; False if they were."""
        if (offer, pattern) in self._known:
            return False
        self._known.add((offer, pattern))
        self.columns.append((offer, pattern))
        rows = [*(item for item, _ in pattern), self._first + offer]
        amounts = [*(float(units) for _, units in pattern), 1.0]
        self._solver.addCol(0.0, 0.0, INFINITY, len(rows), rows, amounts)
        return True

    def given(self, machines: Sequence[float]) -> None:
        """From now on these machines are there and cost nothing."""
        for number, count in enumerate(machines, start=self._first):
            self._solver.changeRowBounds(number, -INFINITY, float(count))

    def solve(self) -> Duals:
        """Prices of the items, and of one more machine of each offer."""
        self._solver.run()
        solution = self._solver.getSolution()
        duals = list(solution.row_dual)
        return Duals(
            item=tuple(max(dual, 0.0) for dual in duals[: self._first]),
            charge=tuple(max(-dual, 0.0) for dual in duals[self._first :]),
            ceilings=0.0,
            amounts=tuple(solution.col_value)[-len(self.columns) :] if self.columns else (),
            steps=int(self._solver.getInfo().simplex_iteration_count),
        )


class Machines:
    """The programme over whole numbers of machines, with the rows that are known to hold."""

    def __init__(self, problem: Problem) -> None:
        self._solver = new_solver(mip_rel_gap=1e-6)
        self._offers = len(problem.offers)
        room = problem.room()
        for number, offer in enumerate(problem.offers):
            most = float(room.offers[number]) if room.offers[number] < UNLIMITED else INFINITY
            self._solver.addCol(offer.price, 0.0, most, 0, [], [])
        for pool in range(len(problem.pools)):
            over = [(o, c) for o, pools in enumerate(problem.offer_pools) for p, c in pools if p == pool]
            offers = [offer for offer, _ in over]
            for limit, takes in (
                (room.nodes[pool], [1.0] * len(over)),
                (room.cores[pool], [float(cores) for _, cores in over]),
            ):
                if limit < UNLIMITED:
                    self._solver.addRow(-INFINITY, float(limit), len(offers), offers, takes)
        make_whole(self._solver, range(self._offers))
        self.rows: list[tuple[float, ...]] = []

    def require(self, holds: Sequence[float], worth: float) -> None:
        """Together the machines must hold so much worth."""
        row = tuple(value / worth for value in holds)
        self.rows.append(row)
        self._solver.addRow(1.0 - ROW_SLACK, INFINITY, self._offers, list(range(self._offers)), row)

    def solve(self, meter: Meter, deadline: float) -> tuple[float, list[int] | None]:
        """A bound on the money, and the machines it buys if that is settled."""
        run_until(self._solver, meter, deadline)
        bound = float(self._solver.getInfo().mip_dual_bound)
        if not has_solution(self._solver):
            return bound, None
        return bound, [round(value) for value in self._solver.getSolution().col_value]


def cheapest_mix(
    problem: Problem,
    columns: Sequence[tuple[int, Pattern]],
    *,
    known: float,
    enough: float,
    clock: Meter,
    deadline: float,
) -> Mix:
    """The bound by whole machines, grown until the deadline or until it reaches `enough` money.

    `columns` are bins to start from, `known` is a bound that is known. Both bounds are ones for packings
    that place every unit.
    """
    contents = Contents(problem)
    for offer, pattern in columns:
        contents.add(offer, pattern)
    machines = Machines(problem)
    pricing = Pricing(problem, contents, clock)
    pricing.deadline = deadline
    bound = known
    if known > 0:
        machines.require([offer.price for offer in problem.offers], known)
    mix: list[int] = [0] * len(problem.offers)
    while not pricing.late():
        contents.given(mix)
        refuted = _refute(problem, contents, pricing, machines, mix)
        if refuted is None:
            break
        if not refuted:
            return Mix(bound=bound, rows=tuple(machines.rows), machines=tuple(mix))
        least, found = machines.solve(clock, deadline)
        if math.isfinite(least):
            bound = max(bound, least * (1 - SAFE))
        if bound >= enough * (1 - 10 * SAFE) or found is None:
            break
        mix = found
    return Mix(bound=bound, rows=tuple(machines.rows), machines=None)


def _refute(
    problem: Problem, contents: Contents, pricing: Pricing, machines: Machines, mix: Sequence[int]
) -> bool | None:
    """Find a row that this mix breaks. False: there is none, parts of contents fit. None: out of time."""
    while True:
        duals = pricing.solve()
        new, ceilings = pricing.round(duals, problem.counts)
        worth = math.fsum(price * count for price, count in zip(duals.item, problem.counts, strict=True))
        if not any(math.isinf(ceiling) for ceiling in ceilings):
            held = math.fsum(ceiling * count for ceiling, count in zip(ceilings, mix, strict=True))
            if held < worth * (1 - 10 * SAFE):
                machines.require(ceilings, worth)
                return True
        if pricing.late():
            return None
        if not new:
            return False
