"""What is packed into what: units of items into bins of offers, under pools.

Amounts are integers in whatever unit the caller chose; position `d` of every tuple is the same dimension
(cores, memory, GPUs, ...). Money is a float, per hour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """So many equal units that each need a place."""

    key: str
    count: int
    needs: tuple[int, ...]
    """What one unit takes of a bin, per dimension."""
    exclusive: bool = False
    """True: a unit shares its bin with nothing, not even another unit of the same item."""
    offers: frozenset[str] | None = None
    """Keys of the offers that may hold it; None is all. Keys of offers that do not exist are ignored."""
    most_per_bin: int | None = None
    """Most units of this item in one bin; None is as many as fit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """A kind of bin that can be had. At price 0 and with `most` it stands for machines that run already."""

    key: str
    capacity: tuple[int, ...]
    price: float
    """Money per hour of one bin. Offers that cost nothing are filled before any that costs something."""
    most: int | None = None
    """Most bins of it; None is no limit but that of its pools."""
    pools: Mapping[str, int] = field(default_factory=dict)
    """Keys of the pools over it, each with the cores that one bin takes of that pool."""
    tier: int = 0
    """Among offers that cost nothing, lower tiers are filled first (ready machines before booting ones)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool:
    """A ceiling shared by the offers that name it; None is no ceiling."""

    key: str
    nodes: int | None = None
    cores: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Bin:
    """So many bins of one offer with equal contents."""

    offer: str
    contents: Mapping[str, int]
    """Units of each item in one bin."""
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Packing:
    """Where every unit goes, what it costs, and how far that is from the least it could cost."""

    bins: tuple[Bin, ...]
    unplaced: Mapping[str, int]
    """Units of each item that no offer with room could hold; items wholly placed are left out."""
    price: float
    """Money per hour of all bins."""
    bound: float | None
    """No packing that places the same units costs less than this; None if nothing was proved."""
    decided_by: Literal["greedy", "solver"]
    gap: float | None
    """`price / bound - 1`: 0.01 is at most one per cent above the optimum. None without a bound."""
