"""Ways to go through items that share a bin: first fit, in a fixed order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from scalelib.packing.arrays import numpy

Needs = tuple[tuple[int, int], ...]
"""(dimension, amount) where the amount is not 0."""

Contents = tuple[float, list[tuple[int, int]]]
"""Worth of a bin, and (item, units) in the order in which they were put in."""

WINDOW: Final = 48
"""Items of a long order that are looked at one by one before all that still fit are picked out."""
AHEAD: Final = 512
"""Items among which the next one that fits is searched first."""
MISSES: Final = 24
"""Items in a row that did not fit, after which they are picked out again."""


class Left:
    """What is left of each item while a packing grows."""

    def __init__(self, counts: Sequence[int], *, many: bool) -> None:
        """`many`: noted in an array as well."""
        self.counts = list(counts)
        self.turn = 0
        """How often something was taken."""
        self.gone = 0
        """Items of which nothing is left any more."""
        np = numpy() if many else None
        self.there: Any = None if np is None else np.array(self.counts) > 0
        """An array: is something left of it?"""

    def take(self, pattern: Sequence[tuple[int, int]], times: int) -> None:
        """Put this into so many bins."""
        self.turn += 1
        for item, units in pattern:
            self.counts[item] -= units * times
            if not self.counts[item]:
                self.gone += 1
                if self.there is not None:
                    self.there[item] = False


class Goods:
    """What one unit of each item needs and is worth, and how many of them one bin may hold."""

    __slots__ = ("most", "needs", "worth")

    def __init__(self, needs: Sequence[Needs], worth: Sequence[float], most: Sequence[int]) -> None:
        self.needs, self.worth, self.most = needs, worth, most


class Order:
    """Items, those to be put in first first."""

    def __init__(self, items: Sequence[int]) -> None:
        self._items = items

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
        return total, pattern


class LongOrder(Order):
    """The same for thousands of items, without a look at each: what does not fit is left out all at once."""

    def __init__(self, items: Any, needs: Sequence[Any]) -> None:
        """An array of items, and one of what they need in each dimension."""
        self._all = items, needs
        self._of: Left | None = None

    def _begin(self, left: Left) -> None:
        """Leave out what has run out."""
        if self._of is not left:
            self._places, self._columns = self._all
        there = left.there[self._places]
        self._places = self._places[there]
        self._columns = [column[there] for column in self._columns]
        self._list: list[int] = self._places.tolist()
        self._least = [int(column.min(initial=1 << 62)) for column in self._columns]
        self._gone, self._of = left.gone, left

    def fill(self, capacity: Sequence[int], goods: Goods, left: Left) -> Contents:
        """Put in of what is left all that fits."""
        if self._of is not left or 8 * (left.gone - self._gone) > len(self._list):
            self._begin(left)
        needs, most, worth, counts = goods.needs, goods.most, goods.worth, left.counts
        free, pattern, total = list(capacity), [], 0.0
        window: Sequence[int] = range(min(WINDOW, len(self._list)))
        at, ahead = 0, AHEAD
        while True:
            missed = 0
            for at in window:
                item = self._list[at]
                units = counts[item]
                if most[item] < units:
                    units = most[item]
                for d, amount in needs[item]:
                    if amount * units > free[d]:
                        units = free[d] // amount
                if units:
                    for d, amount in needs[item]:
                        free[d] -= amount * units
                    total += worth[item] * units
                    pattern.append((item, units))
                    missed = 0
                    continue
                missed += 1
                if missed == MISSES:
                    break
            if any(have < least for have, least in zip(free, self._least, strict=True)):
                return total, pattern  # nothing is so small
            at += 1
            window = ()
            while not window:
                if at >= len(self._list):
                    return total, pattern
                window = self._fitting(at, at + ahead, free)
                if not window:
                    at, ahead = at + ahead, ahead * 4

    def _fitting(self, begin: int, end: int, free: Sequence[int]) -> list[int]:
        """The first of these places whose items still fit."""
        fit: Any = None
        for column, have in zip(self._columns, free, strict=True):
            here = column[begin:end] <= have
            fit = here if fit is None else fit & here
        found: list[int] = (fit.nonzero()[0][:WINDOW] + begin).tolist()
        return found
