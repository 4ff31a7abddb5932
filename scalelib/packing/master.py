"""The programme over bins: how many of each known bin to open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scalelib.packing.greedy import Packed
from scalelib.packing.highs import INFINITY, has_solution, make_whole, new_solver, run_until, start_from
from scalelib.packing.meter import Meter
from scalelib.packing.problem import UNLIMITED, PackedBins, Pattern, Problem, Room

ROW_SLACK = 1e-6
"""HiGHS keeps rows within a hair only, so rows that hold by proof are asked for a hair less."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Duals:
    """What the linear programme pays for a unit of each item, and asks for a bin of each offer."""

    item: tuple[float, ...]
    charge: tuple[float, ...]
    """Price of a bin, and what it takes of ceilings that bind."""
    ceilings: float
    """What the ceilings as a whole take off the bound (0 or less)."""
    amounts: tuple[float, ...]
    """How many of each known bin, parts allowed."""
    steps: int = 0
    """What the programme took."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Whole:
    """The best packing of whole bins."""

    packed: Packed
    bound: float
    """No packing with the known bins costs less."""


class Master:
    """Columns are bins (an offer and its contents), rows the units to place and the ceilings.

    Unplaced units have columns of their own, so dear that they are used only if a ceiling forces it.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.columns: list[tuple[int, Pattern]] = []
        self._known: set[tuple[int, Pattern]] = set()
        self._solver = new_solver()
        room = problem.room()
        self._limited_offers = [o for o, most in enumerate(room.offers) if most < UNLIMITED]
        self._limited_nodes = [p for p, nodes in enumerate(room.nodes) if nodes < UNLIMITED]
        self._limited_cores = [p for p, cores in enumerate(room.cores) if cores < UNLIMITED]
        for count in problem.counts:
            self._solver.addRow(float(count), INFINITY, 0, [], [])
        self._limits = self._limits_of(room)
        for limit in self._limits:
            self._solver.addRow(-INFINITY, limit, 0, [], [])
        self._takes = self._takes_of_limits()
        penalty = 1000.0 * max((offer.price for offer in problem.offers), default=1.0)
        for item, count in enumerate(problem.counts):
            self._solver.addCol(penalty, 0.0, float(count), 1, [item], [1.0])

    def add(self, offer: int, pattern: Pattern) -> bool:
        """Make a bin known; False if it was."""
        if (offer, pattern) in self._known:
            return False
        self._known.add((offer, pattern))
        self.columns.append((offer, pattern))
        entries = [(item, float(units)) for item, units in pattern] + self._takes[offer]
        price = self.problem.offers[offer].price
        rows, amounts = [row for row, _ in entries], [amount for _, amount in entries]
        self._solver.addCol(price, 0.0, INFINITY, len(rows), rows, amounts)
        return True

    def demand(self, counts: Sequence[int], room: Room) -> None:
        """Ask for these units instead, under these ceilings."""
        for item, count in enumerate(counts):
            self._solver.changeRowBounds(item, float(count), INFINITY)
            self._solver.changeColBounds(item, 0.0, float(count))
        self._limits = self._limits_of(room)
        for row, limit in enumerate(self._limits, start=len(counts)):
            self._solver.changeRowBounds(row, -INFINITY, limit)

    def solve(self) -> Duals:
        """Solve the linear programme over the known bins."""
        self._solver.run()
        solution = self._solver.getSolution()
        items = len(self.problem.items)
        duals = list(solution.row_dual)
        return Duals(
            item=tuple(max(dual, 0.0) for dual in duals[:items]),
            charge=tuple(
                offer.price + sum(max(-duals[row], 0.0) * amount for row, amount in self._takes[number])
                for number, offer in enumerate(self.problem.offers)
            ),
            ceilings=sum(
                min(dual, 0.0) * limit for dual, limit in zip(duals[items:], self._limits, strict=True)
            ),
            amounts=tuple(solution.col_value)[items:],
            steps=int(self._solver.getInfo().simplex_iteration_count),
        )

    def whole(
        self, best: Packed, meter: Meter, deadline: float, rows: Sequence[Sequence[float]] = ()
    ) -> Whole:
        """The best whole numbers of known bins that are found until the deadline, starting from `best`.

        `rows` say what machines hold: times the machines per offer, each comes to 1 in every packing.

        Call it last: the programme does not go back to parts of bins.
        """
        for offer, pattern, _ in best.bins:
            self.add(offer, pattern)
        items = len(self.problem.items)
        self.demand(self.problem.counts, self.problem.room())
        self._solver.setOptionValue("mip_rel_gap", 1e-4)
        start = dict.fromkeys(self.columns, 0)
        for offer, pattern, times in best.bins:
            start[offer, pattern] += times
        machines = self._count_machines(list(start.values()), rows)
        start_from(self._solver, [*map(float, best.left), *map(float, start.values()), *machines])
        run_until(self._solver, meter, deadline)
        bound = float(self._solver.getInfo().mip_dual_bound)
        if not has_solution(self._solver):
            return Whole(packed=best, bound=bound)
        amounts = self._solver.getSolution().col_value[items : items + len(self.columns)]
        found = self._packed([round(amount) for amount in amounts])
        return Whole(packed=min(best, found, key=lambda packed: packed.order), bound=bound)

    def _count_machines(self, amounts: Sequence[int], rows: Sequence[Sequence[float]]) -> list[float]:
        """Add a column for the machines of each offer, and say how many there are.

        That this number is whole as well is nothing new, but it is what is best decided first.
        """
        items = len(self.problem.items)
        columns_of: dict[int, list[int]] = {}
        for number, (offer, _) in enumerate(self.columns):
            columns_of.setdefault(offer, []).append(number)
        first = items + len(self.columns)
        for number, columns in enumerate(columns_of.values(), start=first):
            self._solver.addCol(0.0, 0.0, INFINITY, 0, [], [])
            entries = [*(items + column for column in columns), number]
            values = [*([1.0] * len(columns)), -1.0]
            self._solver.addRow(0.0, 0.0, len(entries), entries, values)
        make_whole(self._solver, range(first + len(columns_of)))
        numbers = list(range(first, first + len(columns_of)))
        for row in rows:
            holds = [row[offer] for offer in columns_of]
            self._solver.addRow(1.0 - ROW_SLACK, INFINITY, len(numbers), numbers, holds)
        return [float(sum(amounts[column] for column in columns)) for columns in columns_of.values()]

    def _packed(self, amounts: Sequence[int]) -> Packed:
        """The packing of so many known bins; units that it would place twice are placed once."""
        left = list(self.problem.counts)
        bins: PackedBins = []
        for (offer, pattern), amount in zip(self.columns, amounts, strict=True):
            times = amount
            while times > 0:
                contents = tuple((item, min(units, left[item])) for item, units in pattern if left[item])
                if not contents:
                    break
                same = min(times, *(left[item] // units for item, units in contents))
                bins.append((offer, contents, same))
                for item, units in contents:
                    left[item] -= units * same
                times -= same
        return Packed(bins=bins, left=tuple(left), price=self.problem.price(bins))

    def _limits_of(self, room: Room) -> list[float]:
        """The right-hand sides of the rows for ceilings."""
        return [
            *(float(room.offers[offer]) for offer in self._limited_offers),
            *(float(room.nodes[pool]) for pool in self._limited_nodes),
            *(float(room.cores[pool]) for pool in self._limited_cores),
        ]

    def _takes_of_limits(self) -> list[list[tuple[int, float]]]:
        """Per offer: (row, amount) that one bin takes of each ceiling, in the order of `_limits_of`."""
        takes: list[list[tuple[int, float]]] = [[] for _ in self.problem.offers]
        row = len(self.problem.items)
        for offer in self._limited_offers:
            takes[offer].append((row, 1.0))
            row += 1
        for by_cores, limited in ((False, self._limited_nodes), (True, self._limited_cores)):
            for limited_pool in limited:
                for offer, pools in enumerate(self.problem.offer_pools):
                    for pool, cores in pools:
                        if pool == limited_pool and (cores or not by_cores):
                            takes[offer].append((row, float(cores) if by_cores else 1.0))
                row += 1
        return takes
