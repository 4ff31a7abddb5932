"""Orders of preference among offers, for when the least money is not what decides.

A rank looks at a candidate bin and returns something sortable; the lowest is opened next. Money only breaks
ties. Running machines (price 0) are filled before any rank is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from scalelib.packing.model import Offer


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """A bin that might be opened next."""

    offer: Offer
    contents: Mapping[str, int]
    """Units of each item that it would hold."""
    room: int
    """How many bins of this offer may still be opened."""
    waste: float
    """Share of the bin left empty, 0 to 1: the mean over the dimensions that the offer has."""


Rank: TypeAlias = Callable[[Choice], tuple[float | int | str, ...]]


def least_waste(choice: Choice) -> tuple[float, ...]:
    """Prefer the bin that is left with the smallest share of itself empty."""
    return (round(choice.waste, 9),)


def most_available(choice: Choice) -> tuple[int, ...]:
    """Prefer the offer of which most bins may still be opened."""
    return (-choice.room,)


def by_priority(priority: Mapping[str, int]) -> Rank:
    """Prefer offers of higher priority, by offer key; an offer without one has priority 0."""

    def rank(choice: Choice) -> tuple[int, ...]:
        return (-priority.get(choice.offer.key, 0),)

    return rank
