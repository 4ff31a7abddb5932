"""Ways to go through items that share a bin: first fit, in a fixed order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from scalelib.packing.arrays import numpy

Needs = tuple[tuple[int, int], ...]
"""(dimension, amount) where the amount is not 0."""

Contents = tuple[float, list[tuple[int, int]]]
"""Worth of a bin, and (item, units) in the order in which they were put in."""

_NEVER: Final = 1 << 62
"""More than any bin has."""
AHEAD: Final = 512
"""Places of a long order that are searched first for the next item that fits."""


class Left:
    """What is left of each item while a packing grows."""

    def __init__(self, counts: Sequence[int], *, many: bool) -> None:
        """`many`: noted in an array as well."""
        self.counts = list(counts)
        self.turn = 0
        """How often something was taken."""
        self.gone: list[int] = []
        """Items of which nothing is left any more, as they ran out."""
        np = numpy() if many else None
        self.there: Any = None if np is None else np.array(self.counts) > 0
        """An array: is something left of it?"""

    def take(self, pattern: Sequence[tuple[int, int]], times: int) -> None:
        """Put this into so many bins."""
        self.turn += 1
        for item, units in pattern:
            self.counts[item] -= units * times
            if not self.counts[item]:
                self.gone.append(item)
                if self.there is not None:
                    self.there[item] = False


class Goods:
    """What one unit of each item needs and is worth, and how many of them one bin may hold."""

    __slots__ = ("most", "needs", "worth")

    def __init__(self, needs: Sequence[Needs], worth: Sequence[float], most: Sequence[int]) -> None:
        self.needs, self.worth, self.most = needs, worth, most


class Order:
    """Items, those to be put in first first."""

    def __init__(self, items: Sequence[int], least: Needs) -> None:
        """`least`: the least that any of them needs, of what all of them need."""
        self._items, self._least_of_all = items, least

    def fill(self, capacity: Sequence[int], goods: Goods, left: Left) -> Contents:
        """Put in of what is left all that fits."""
        needs, most, worth, counts = goods.needs, goods.most, goods.worth, left.counts
        free, pattern, total = list(capacity), [], 0.0
        for item in self._items:
            units = counts[item]
            if not units:
                continue
            if most[item] < units:
                units = most[item]
            for d, amount in needs[item]:
                fit = free[d] // amount
                if fit < units:
                    units = fit
                    if not units:
                        break
            else:
                for d, amount in needs[item]:
                    free[d] -= amount * units
                total += worth[item] * units
                pattern.append((item, units))
                for d, least in self._least_of_all:
                    if free[d] < least:
                        return total, pattern  # nothing is so small
        return total, pattern


class LongOrder(Order):
    """The same for thousands of items, without a look at each: the next one that fits is searched for."""

    def __init__(self, items: Any, needs: Sequence[Any]) -> None:
        """An array of items, and one of what they need in each dimension."""
        self._all = items, needs
        self._places, self._columns = items, needs
        """Of those that are still there, in the same order."""
        self._of: Left | None = None

    def _begin(self, left: Left) -> None:
        """Leave out what has run out."""
        np = numpy()
        places, columns = self._all if self._of is not left else (self._places, self._columns)
        there = left.there[places]
        self._places = places[there]
        self._columns = [column[there] for column in columns]
        self._list: list[int] = self._places.tolist()
        self._place_of = np.full(len(left.counts), -1)
        self._place_of[self._places] = np.arange(len(self._list))
        self._least = [int(column.min(initial=_NEVER)) for column in self._columns]
        self._first, self._seen, self._begun, self._of = 0, len(left.gone), len(left.gone), left

    def _catch_up(self, left: Left) -> None:
        """Let what has run out since the last time fit nowhere; once that is much, leave it out."""
        if self._of is not left or 2 * (len(left.gone) - self._begun) > len(self._list):
            self._begin(left)
            return
        for item in left.gone[self._seen :]:
            place = self._place_of[item]
            if place >= 0:
                self._columns[0][place] = _NEVER
        self._seen = len(left.gone)
        while self._first < len(self._list) and not left.counts[self._list[self._first]]:
            self._first += 1

    def fill(self, capacity: Sequence[int], goods: Goods, left: Left) -> Contents:
        """Put in of what is left all that fits."""
        self._catch_up(left)
        needs, most, worth, counts = goods.needs, goods.most, goods.worth, left.counts
        free, pattern, total = list(capacity), [], 0.0
        at, end = self._first, len(self._list)
        while at < end:
            item = self._list[at]
            units = counts[item]
            if most[item] < units:
                units = most[item]
            for d, amount in needs[item]:
                if amount * units > free[d]:
                    units = free[d] // amount
            at += 1
            if units:
                for d, amount in needs[item]:
                    free[d] -= amount * units
                total += worth[item] * units
                pattern.append((item, units))
                continue
            for d, least in enumerate(self._least):
                if free[d] < least:
                    return total, pattern  # nothing is so small
            at = self._next(at, free)
        return total, pattern

    def _next(self, at: int, free: Sequence[int]) -> int:
        """The first place from this one on whose item still fits; the end if there is none."""
        ahead = AHEAD
        while at < len(self._list):
            fit: Any = self._columns[0][at : at + ahead] <= free[0]
            for d in range(1, len(free)):
                fit &= self._columns[d][at : at + ahead] <= free[d]
            place = int(fit.argmax())
            if fit[place]:
                return at + place
            at, ahead = at + ahead, ahead * 4
        return at
