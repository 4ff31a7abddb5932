"""The input once checked, sorted and turned into lists of numbers, so that the packers can be short.

Items and offers are numbered in the order of their keys: the caller's order never matters.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from scalelib.errors import InvalidInput
from scalelib.packing.arrays import columns
from scalelib.packing.model import Bin, Item, Offer, Pool
from scalelib.packing.shapes import Shape

UNLIMITED = 1 << 62
"""Stands for "no ceiling" where a comparison with a number is wanted."""

Pattern = tuple[tuple[int, int], ...]
"""Contents of one bin: (item number, units), by rising item number."""

PackedBins = list[tuple[int, Pattern, int]]
"""(offer number, contents, how many such bins)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Items that can be placed at all, the offers, and the pools over them."""

    items: tuple[Item, ...]
    offers: tuple[Offer, ...]
    pools: tuple[Pool, ...]
    counts: tuple[int, ...]
    needs: tuple[tuple[tuple[int, int], ...], ...]
    """Per item: (dimension, amount) where the amount is not 0."""
    most_per_bin: tuple[int, ...]
    shapes: tuple[Shape, ...]
    shape_of: tuple[int, ...]
    """Per offer: the number of its shape."""
    columns: Sequence[Any] | None
    """The needs in arrays, if there are many."""
    offer_pools: tuple[tuple[tuple[int, int], ...], ...]
    """Per offer: (pool number, cores that one bin takes)."""
    never: tuple[Item, ...]
    """Items that fit into no offer."""

    def shape(self, offer: int) -> Shape:
        """What fits into a bin of it."""
        return self.shapes[self.shape_of[offer]]

    @property
    def fits(self) -> tuple[tuple[int, ...], ...]:
        """Per offer: the items of which one unit fits into an empty bin of it."""
        return tuple(self.shapes[number].fits for number in self.shape_of)

    def room(self) -> Room:
        """All ceilings, nothing used yet."""
        return Room(
            offers=[UNLIMITED if o.most is None else o.most for o in self.offers],
            nodes=[UNLIMITED if p.nodes is None else p.nodes for p in self.pools],
            cores=[UNLIMITED if p.cores is None else p.cores for p in self.pools],
            pools_of=self.offer_pools,
        )

    def price(self, bins: PackedBins) -> float:
        """Money per hour of these bins."""
        return math.fsum(self.offers[offer].price * count for offer, _, count in bins)

    def named(self, bins: PackedBins) -> tuple[Bin, ...]:
        """The bins in the caller's words, equal ones together, in a fixed order."""
        together: dict[tuple[int, Pattern], int] = {}
        for offer, pattern, count in bins:
            together[offer, pattern] = together.get((offer, pattern), 0) + count
        return tuple(
            Bin(
                offer=self.offers[offer].key,
                contents={self.items[item].key: units for item, units in pattern},
                count=count,
            )
            for (offer, pattern), count in sorted(together.items())
        )


@dataclass(kw_only=True, slots=True)
class Room:
    """What is left under every ceiling while a packing grows."""

    offers: list[int]
    nodes: list[int]
    cores: list[int]
    pools_of: tuple[tuple[tuple[int, int], ...], ...]

    def of(self, offer: int) -> int:
        """Bins of this offer that may still be opened."""
        room, nodes, left = self.offers[offer], self.nodes, self.cores
        for pool, cores in self.pools_of[offer]:
            if nodes[pool] < room:
                room = nodes[pool]
            if cores and left[pool] // cores < room:
                room = left[pool] // cores
        return room

    def take(self, offer: int, count: int) -> None:
        """Open `count` bins of this offer (give bins back with a negative count)."""
        self.offers[offer] -= count
        for pool, cores in self.pools_of[offer]:
            self.nodes[pool] -= count
            self.cores[pool] -= cores * count

    def copy(self) -> Room:
        """An independent copy."""
        return Room(offers=self.offers[:], nodes=self.nodes[:], cores=self.cores[:], pools_of=self.pools_of)


def read(items: Iterable[Item], offers: Iterable[Offer], pools: Iterable[Pool]) -> Problem:
    """Check the input and number it. Raises InvalidInput."""
    all_items = sorted(items, key=lambda item: item.key)
    all_offers = sorted(offers, key=lambda offer: offer.key)
    all_pools = sorted(pools, key=lambda pool: pool.key)
    _check_keys("item", [item.key for item in all_items])
    _check_keys("offer", [offer.key for offer in all_offers])
    _check_keys("pool", [pool.key for pool in all_pools])
    pool_number = {pool.key: number for number, pool in enumerate(all_pools)}
    dimensions = len(all_offers[0].capacity) if all_offers else None
    for pool in all_pools:
        _check_limit(f"nodes of pool {pool.key!r}", pool.nodes)
        _check_limit(f"cores of pool {pool.key!r}", pool.cores)
    for offer in all_offers:
        _check_offer(offer, dimensions or 0, pool_number)
    for item in all_items:
        _check_item(item, len(item.needs) if dimensions is None else dimensions)

    asked = [item for item in all_items if item.count]
    shape_of, keys = _shapes(all_offers, asked)
    held = _held(keys, asked)
    anywhere = set().union(*held)
    number = {item: place for place, item in enumerate(sorted(anywhere))}
    placeable = [item for place, item in enumerate(asked) if place in anywhere]
    alone = {place for place, item in enumerate(placeable) if item.exclusive}
    needs = tuple(tuple((d, n) for d, n in enumerate(item.needs) if n) for item in placeable)
    return Problem(
        items=tuple(placeable),
        offers=tuple(all_offers),
        pools=tuple(all_pools),
        counts=tuple(item.count for item in placeable),
        needs=needs,
        most_per_bin=tuple(_most(item) for item in placeable),
        shapes=tuple(
            Shape(capacity, map(number.__getitem__, numbers), alone)
            for (capacity, _), numbers in zip(keys, held, strict=True)
        ),
        shape_of=shape_of,
        columns=columns(needs, (offer.capacity for offer in all_offers), dimensions or 0),
        offer_pools=tuple(
            tuple(sorted((pool_number[key], cores) for key, cores in offer.pools.items()))
            for offer in all_offers
        ),
        never=tuple(item for place, item in enumerate(asked) if place not in anywhere),
    )


_Key = tuple[tuple[int, ...], tuple[int, ...]]
"""A capacity, and the items that are choosy and may be there."""


def _shapes(offers: Sequence[Offer], items: Sequence[Item]) -> tuple[tuple[int, ...], list[_Key]]:
    """The number of each offer's shape, and what is told of each shape."""
    choosy = [(number, item.offers) for number, item in enumerate(items) if item.offers is not None]
    numbers: dict[_Key, int] = {}
    shape_of = []
    for offer in offers:
        may = tuple(number for number, allowed in choosy if offer.key in allowed)
        shape_of.append(numbers.setdefault((offer.capacity, may), len(numbers)))
    return tuple(shape_of), list(numbers)


def _held(keys: Sequence[_Key], items: Sequence[Item]) -> list[list[int]]:
    """Per shape: the items of which it holds one, by rising number."""
    usual = [n for n, item in enumerate(items) if item.offers is None and item.most_per_bin != 0]
    needs = list(zip(*(item.needs for item in items), strict=True))
    most = [max(column) for column in needs]
    found = []
    for capacity, may in keys:
        held = sorted([*usual, *(n for n in may if items[n].most_per_bin != 0)]) if may else usual
        for column, have, largest in zip(needs, capacity, most, strict=True) if items else ():
            if largest > have:
                held = [n for n in held if column[n] <= have]
        found.append(held)
    return found


def _most(item: Item) -> int:
    if item.exclusive:
        return 1
    return UNLIMITED if item.most_per_bin is None else item.most_per_bin


def _check_keys(what: str, keys: Sequence[str]) -> None:
    for one, next_one in itertools.pairwise(keys):
        if one == next_one:
            raise InvalidInput(f"two {what}s have the key {one!r}; every {what} needs its own")


def _check_limit(what: str, value: int | None) -> None:
    if value is not None and value < 0:
        raise InvalidInput(f"{what}: {value}; must be 0 or more, or None for no limit")


def _check_offer(offer: Offer, dimensions: int, pools: Collection[str]) -> None:
    where = f"offer {offer.key!r}"
    if len(offer.capacity) != dimensions:
        raise InvalidInput(
            f"{where}: capacity {offer.capacity}; must have {dimensions} numbers as the others"
        )
    if any(amount < 0 for amount in offer.capacity):
        raise InvalidInput(f"{where}: capacity {offer.capacity}; every amount must be 0 or more")
    if not (math.isfinite(offer.price) and offer.price >= 0):
        raise InvalidInput(f"{where}: price {offer.price}; must be a finite number, 0 or more")
    _check_limit(f"most of {where}", offer.most)
    for key, cores in offer.pools.items():
        if key not in pools:
            raise InvalidInput(f"{where}: no pool {key!r} was given")
        if cores < 0:
            raise InvalidInput(f"{where}: takes {cores} cores of pool {key!r}; must be 0 or more")


def _check_item(item: Item, dimensions: int) -> None:
    where = f"item {item.key!r}"
    if item.count < 0:
        raise InvalidInput(f"{where}: count {item.count}; must be 0 or more")
    if len(item.needs) != dimensions:
        raise InvalidInput(f"{where}: needs {item.needs}; must have {dimensions} numbers as the offers have")
    if any(amount < 0 for amount in item.needs):
        raise InvalidInput(f"{where}: needs {item.needs}; every amount must be 0 or more")
    _check_limit(f"most_per_bin of {where}", item.most_per_bin)
