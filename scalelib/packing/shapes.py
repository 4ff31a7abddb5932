"""Offers of which a bin holds the same are of one shape: what fits there is worked out once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from scalelib.packing.arrays import MANY, numpy
from scalelib.packing.order import LongOrder, Needs, Order


class Shape:
    """A capacity, and the items of which one unit fits into an empty bin of it."""

    def __init__(self, capacity: tuple[int, ...], fits: Iterable[int], alone: Collection[int]) -> None:
        """`alone`: items that want a bin for each unit."""
        self.capacity = capacity
        self.fits = tuple(fits)
        self.alone = tuple(item for item in self.fits if item in alone) if alone else ()
        self.shared = tuple(item for item in self.fits if item not in alone) if alone else self.fits
        """Those that share bins."""
        self.ways = (-1, *self.alone) if self.shared else self.alone
        """Whom a bin may be for: those that share it (-1), or an item alone."""
        self._shares: FewShares | ManyShares | None = None

    def only(self, items: Collection[int]) -> Shape:
        """The same, as if there were no other items."""
        return Shape(self.capacity, (item for item in self.fits if item in items), set(self.alone))

    def shares(self, needs: Sequence[Needs], columns: Sequence[Any] | None) -> FewShares | ManyShares:
        """What the items that share bins take of one. `columns`: the same needs in arrays."""
        if self._shares is None:
            if columns is not None and len(self.shared) >= MANY:
                self._shares = ManyShares(self.capacity, self.shared, columns)
            else:
                self._shares = FewShares(self.capacity, self.shared, needs)
        return self._shares


class FewShares:
    """The share of a bin that a unit of each item takes: in all dimensions, and of the fullest one."""

    def __init__(self, capacity: Sequence[int], items: Sequence[int], needs: Sequence[Needs]) -> None:
        self._items = items
        self._total: list[float] = []
        self._most: list[float] = []
        for item in items:
            shares = [amount / capacity[d] for d, amount in needs[item]]
            self._total.append(sum(shares))
            self._most.append(max(shares, default=0.0))
        self._largest_first = sorted(range(len(items)), key=self._most.__getitem__, reverse=True)
        least: dict[int, int] = {}
        asked = [0] * len(capacity)
        for item in items:
            for d, amount in needs[item]:
                asked[d] += 1
                if amount < least.get(d, amount + 1):
                    least[d] = amount
        self._least = tuple((d, amount) for d, amount in least.items() if asked[d] == len(items))

    def orders(self, worth: Sequence[float]) -> list[Order]:
        """Ways to go through the items: by worth for space (two ways), by size.

        Sorting leaves equal ones as they were: what is sorted says how those are ordered.
        """
        items, most = self._items, self._most
        if len(items) <= 1:
            return [Order(items, self._least)]
        poor = [-worth[item] for item in items]
        by_sum = [each / (share or 1e-9) for each, share in zip(poor, self._total, strict=True)]
        by_most = [each / (share or 1e-9) for each, share in zip(poor, most, strict=True)]
        dearest_first = sorted(range(len(items)), key=poor.__getitem__)
        first = sorted(self._largest_first, key=by_sum.__getitem__)
        second = sorted(self._largest_first, key=by_most.__getitem__)
        third = sorted(dearest_first, key=most.__getitem__, reverse=True)
        different = [first]
        if second != first:
            different.append(second)
        if third not in different:
            different.append(third)
        return [Order([items[place] for place in places], self._least) for places in different]


class ManyShares:
    """The same in arrays."""

    def __init__(self, capacity: Sequence[int], items: Sequence[int], columns: Sequence[Any]) -> None:
        np = numpy()
        self._places = np.array(items, dtype=np.intp)
        self._needs = [column[self._places] for column in columns]
        self._sums = np.zeros(len(items))
        self._peaks = np.zeros(len(items))
        for column, have in zip(self._needs, capacity, strict=True):
            if have:
                shares = column / have
                self._sums = self._sums + shares
                self._peaks = np.maximum(self._peaks, shares)
        self._largest = np.argsort(-self._peaks, kind="stable")

    def orders(self, worth: Sequence[float]) -> list[Order]:
        """Ways to go through the items: by worth for space (two ways), by size."""
        np = numpy()
        poor = -np.array(worth)[self._places]
        by_sum = poor / np.where(self._sums == 0, 1e-9, self._sums)
        by_most = poor / np.where(self._peaks == 0, 1e-9, self._peaks)
        dearest = np.argsort(poor, kind="stable")
        return [
            LongOrder(self._places[places], [column[places] for column in self._needs])
            for places in (
                self._largest[np.argsort(by_sum[self._largest], kind="stable")],
                self._largest[np.argsort(by_most[self._largest], kind="stable")],
                dearest[np.argsort(-self._peaks[dearest], kind="stable")],
            )
        ]
