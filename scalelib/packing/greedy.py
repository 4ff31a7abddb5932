"""The greedy packer: open, again and again, the bin that is worth most for its money.

One step fills one bin of every offer with the most valuable contents it can find, takes the offer with the
most worth per money, and repeats that bin as long as the items and the ceilings allow. Steps therefore
follow the number of kinds, not the number of units. Contents found earlier stay in a heap and are computed
again only when they come up and the items in them have run out.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul
from typing import Any

from scalelib.packing.order import Goods, Left, Order
from scalelib.packing.problem import PackedBins, Pattern, Problem, Room
from scalelib.packing.rank import Choice, Rank

Entry = tuple[tuple[Any, ...], int, int, Pattern]
"""A candidate: its score (lowest first), offer, the item it is for alone (-1: items that share), contents."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Packed:
    """A whole packing, in numbers."""

    bins: PackedBins
    left: tuple[int, ...]
    """Units of each item without a place."""
    price: float

    @property
    def order(self) -> tuple[int, float, int]:
        """Lower is better: units served, then money, then machines."""
        return (sum(self.left), round(self.price, 9), sum(count for _, _, count in self.bins))


class Greedy:
    """Fills bins by the worth of items. One object per problem and set of values."""

    def __init__(
        self,
        problem: Problem,
        worth: Sequence[float],
        dimension: Sequence[float],
        charge: Sequence[float] | None = None,
        *,
        by_tier: bool = True,
        most: Sequence[int] | None = None,
    ) -> None:
        """`worth` of items and `dimension`s in money; `charge` for a bin of an offer (default: its price; 1
        where that is 0). `by_tier`: running machines of lower tiers first. `most`: units of each item in one
        bin, if that is to be fewer than may be.
        """
        self.problem = problem
        self.worth = worth
        self.charge = [offer.price or 1.0 for offer in problem.offers] if charge is None else charge
        self.by_tier = by_tier
        # Asked for of running machines only.
        self.size = [
            0.0 if offer.price else sum(map(mul, dimension, offer.capacity)) for offer in problem.offers
        ]
        self._goods = Goods(problem.needs, worth, problem.most_per_bin if most is None else most)
        self._orders: list[list[Order] | None] = [None] * len(problem.shapes)
        self._filled: dict[int, tuple[Left, int, float, Pattern]] = {}
        """By shape: what one bin was found to hold, and when."""

    def pack(
        self, counts: Sequence[int] | None = None, room: Room | None = None, rank: Rank | None = None
    ) -> Packed:
        """Place as much of `counts` (default: all of the problem) as the room (default: all) allows.

        No unit is left over while an offer that can hold it has room. `room` is used up on the way.
        """
        left = Left(self.problem.counts if counts is None else counts, many=self.problem.columns is not None)
        room = self.problem.room() if room is None else room
        bins: PackedBins = []
        heap = self._entries(left, room, rank)
        counts = left.counts
        while heap:
            _, offer, alone, pattern = heapq.heappop(heap)
            bins_left = times = room.of(offer)
            for item, units in pattern:
                here = counts[item] // units
                if here < times:
                    times = here
            if times:
                bins.append((offer, pattern, times))
                room.take(offer, times)
                left.take(pattern, times)
            if times and rank is not None:
                # A rank may look at the room, which offers share: what was computed before does not hold.
                heap = self._entries(left, room, rank)
                continue
            if bins_left > times:
                entry = self._entry(offer, alone, left, room, rank)
                if entry is not None:
                    heapq.heappush(heap, entry)
        return Packed(bins=bins, left=tuple(left.counts), price=self.problem.price(bins))

    def _fill(self, offer: int, left: Left) -> tuple[float, Pattern]:
        """The most valuable contents found for one bin of this offer out of what is left."""
        number = self.problem.shape_of[offer]
        before = self._filled.get(number)
        if before is not None and before[0] is left and before[1] == left.turn:
            return before[2:]  # of another offer with bins of this shape
        shape, orders = self.problem.shapes[number], self._orders[number]
        if orders is None:
            shares = shape.shares(self.problem.needs, self.problem.columns)
            orders = self._orders[number] = shares.orders(self.worth)
        worth: float = 0.0
        contents: list[tuple[int, int]] = []
        for order in orders:
            filled, found = order.fill(shape.capacity, self._goods, left)
            if filled > worth * (1 + 1e-9):
                worth, contents = filled, found
        pattern = tuple(sorted(contents))
        self._filled[number] = (left, left.turn, worth, pattern)
        return worth, pattern

    def _entries(self, left: Left, room: Room, rank: Rank | None) -> list[Entry]:
        """All candidates now: per offer one of items that share, and one per item that wants to be alone."""
        entries = [
            self._entry(offer, alone, left, room, rank)
            for offer in range(len(self.problem.offers))
            if room.of(offer)
            for alone in self.problem.shape(offer).ways
        ]
        heap = [entry for entry in entries if entry is not None]
        heapq.heapify(heap)
        return heap

    def _entry(self, offer: int, alone: int, left: Left, room: Room, rank: Rank | None) -> Entry | None:
        """The candidate of this offer, which has room, now; None if nothing fits."""
        if alone < 0:
            worth, pattern = self._fill(offer, left)
        else:
            worth, pattern = self.worth[alone], (((alone, 1),) if left.counts[alone] else ())
        if not pattern:
            return None
        if self.problem.offers[offer].price == 0:
            # Running machines: the best filled first, then the smallest, so that whole ones stay empty.
            size = self.size[offer] * self.charge[offer]
            full = round(worth / size, 9) if size else 0.0
            tier = self.problem.offers[offer].tier if self.by_tier else 0
            score = (0, tier, -full, self.size[offer], offer)
            return score, offer, alone, pattern
        ranked = () if rank is None else rank(self._choice(offer, pattern, room))
        per_money = round(worth / self.charge[offer], 9)
        return (1, ranked, -per_money, -worth, offer), offer, alone, pattern

    def _choice(self, offer: int, pattern: Pattern, room: Room) -> Choice:
        """The candidate as a rank sees it."""
        problem = self.problem
        capacity = problem.offers[offer].capacity
        used = [0] * len(capacity)
        for item, units in pattern:
            for d, amount in problem.needs[item]:
                used[d] += units * amount
        empty = [1 - taken / have for taken, have in zip(used, capacity, strict=True) if have]
        return Choice(
            offer=problem.offers[offer],
            contents={problem.items[item].key: units for item, units in pattern},
            room=room.of(offer),
            waste=sum(empty) / len(empty) if empty else 0.0,
        )
