"""Of several priorities packed at once the highest has the machines that are there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from scalelib.packing import Bin, Item, Offer
from scalelib.planning.exchange import exchanged

RUNS = Offer(key="runs", capacity=(8,), price=0.0, most=2, tier=1)
BOOTS = Offer(key="boots", capacity=(8,), price=0.0, most=1, tier=2)
NEW = Offer(key="new", capacity=(8,), price=1.0, tier=99)
SMALL = Offer(key="small", capacity=(3,), price=0.5, tier=99)
FIRST, LATER = {"first": 1}, {"later": 1}


def given(*bins: tuple[str, Mapping[str, int], int], **changes: Any) -> list[tuple[str, dict[str, int], int]]:
    """Bins after the exchange, of work of two priorities of which a unit of each takes three."""
    first = Item(key="first", count=9, needs=(3,), offers=changes.get("first"))
    later = Item(key="later", count=9, needs=changes.get("needs", (3,)), offers=changes.get("later"))
    made = [Bin(offer=offer, contents=contents, count=count) for offer, contents, count in bins]
    found = exchanged(made, [first, later], [RUNS, BOOTS, NEW, SMALL], {"first": 1, "later": 0})
    return [(each.offer, dict(each.contents), each.count) for each in found]


def test_who_comes_first_has_what_runs_before_what_boots_and_that_before_what_is_new() -> None:
    assert given(("new", FIRST, 2), ("boots", LATER, 1), ("runs", LATER, 1)) == [
        ("runs", FIRST, 1),
        ("boots", FIRST, 1),
        ("new", LATER, 1),
        ("new", LATER, 1),
    ]


def test_only_as_many_change_places_as_there_are_of_both() -> None:
    assert given(("runs", LATER, 2), ("new", FIRST, 1)) == [
        ("runs", FIRST, 1),
        ("runs", LATER, 1),
        ("new", LATER, 1),
    ]
    assert given(("runs", LATER, 1), ("new", FIRST, 2)) == [
        ("runs", FIRST, 1),
        ("new", LATER, 1),
        ("new", FIRST, 1),
    ]


def test_the_most_of_the_highest_priority_comes_first() -> None:
    two = {"first": 2}
    assert given(("runs", LATER, 1), ("new", FIRST, 1), ("new", two, 1)) == [
        ("runs", two, 1),
        ("new", FIRST, 1),
        ("new", LATER, 1),
    ]
    both = {"first": 1, "later": 1}
    assert given(("runs", LATER, 1), ("new", both, 1), needs=(1,)) == [("runs", both, 1), ("new", LATER, 1)]
    unchanged = [("runs", both, 1), ("new", FIRST, 1)]
    assert given(*unchanged, needs=(1,)) == unchanged


@pytest.mark.parametrize("changes", [{"first": frozenset({"new"})}, {"later": frozenset({"runs"})}])
def test_what_may_not_be_there_does_not_change_places(changes: dict[str, Any]) -> None:
    unchanged = [("runs", LATER, 1), ("new", FIRST, 1)]
    assert given(*unchanged, **changes) == unchanged


def test_what_does_not_fit_there_does_not_change_places() -> None:
    unchanged: list[tuple[str, dict[str, int], int]] = [("runs", {"later": 2}, 1), ("small", FIRST, 1)]
    assert given(*unchanged, needs=(2,)) == unchanged
    tight: list[tuple[str, dict[str, int], int]] = [("runs", LATER, 1), ("new", {"first": 3}, 1)]
    assert given(*tight) == tight


def test_between_machines_of_one_tier_nothing_changes_places() -> None:
    unchanged = [("new", LATER, 1), ("small", FIRST, 1)]
    assert given(*unchanged, needs=(1,)) == unchanged
