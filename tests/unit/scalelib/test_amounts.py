"""Amounts are whole numbers: nothing drifts, memory is one thing, and nonsense is refused."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalelib.amounts import InvalidAmount, fits, minus, plus, size_in_bytes, taken, total, units

GIB = 2**30


@pytest.mark.parametrize(
    ("constraints", "expected"),
    [
        ({}, {}),
        ({"ncpus": 1}, {"ncpus": 1_000_000}),
        ({"ncpus": 0.1}, {"ncpus": 100_000}),
        ({"memgb": 1}, {"memory": GIB}),
        ({"memmb": 1024}, {"memory": GIB}),
        ({"memkb": 2**20}, {"memory": GIB}),
        ({"memb": GIB}, {"memory": GIB}),
        ({"memtb": 0.5}, {"memory": 512 * GIB}),
        ({"mem": "memory::4g"}, {"memory": 4 * GIB}),
        ({"memory": "memory::4G"}, {"memory": 4 * 10**9}),
        ({"memgb": "memory::512m"}, {"memory": GIB // 2}),
        ({"disk": "size::2"}, {"disk": 2_000_000}),
        ({"licences": 3}, {"licences": 3_000_000}),
        ({"kind": "A", "fast": True, "none": None, "sizes": [16, 32]}, {}),
        ({"node.vcpu_count": 4, "exclusive": 1, "in-a-placement-group": True}, {}),
        ({"memgb": 1, "memmb": 4096}, {"memory": 4 * GIB}),
        ([{"ncpus": 1}, {"ncpus": 3}, {"memgb": 1}], {"ncpus": 3_000_000, "memory": GIB}),
        ({"and": [{"ncpus": 1}, {"ngpus": 1}]}, {"ncpus": 1_000_000, "ngpus": 1_000_000}),
        ({"or": [{"ncpus": 8}, {"ncpus": 2}]}, {"ncpus": 8_000_000}),
        ({"not": {"ncpus": 4}}, {}),
    ],
)
def test_what_a_slot_takes(constraints: Any, expected: dict[str, int]) -> None:
    assert taken(constraints) == expected


def test_of_an_or_the_first_branch_that_the_node_can_hold_counts() -> None:
    wish: dict[str, object] = {"or": [{"ncpus": 8}, {"ncpus": 2}]}
    assert taken(wish, total({"ncpus": 4})) == {"ncpus": 2_000_000}
    assert taken(wish, total({"ncpus": 8})) == {"ncpus": 8_000_000}


def test_a_node_that_gives_memory_in_several_units_has_the_smallest() -> None:
    assert total({"memgb": 4, "memmb": 3 * 1024, "ncpus": 2, "nodearray": "x"}) == {
        "memory": 3 * GIB,
        "ncpus": 2_000_000,
    }


def test_rounding_never_makes_more_fit() -> None:
    assert taken({"x": 0.000_000_1}) == {"x": 1}
    assert total({"x": 0.000_000_1}) == {"x": 0}


@given(st.integers(1, 1000), st.integers(1, 10**6))
def test_a_part_taken_as_often_as_it_fits_leaves_nothing_behind(parts: int, whole: int) -> None:
    """Of forty jobs of 0.1 core, forty fit four cores."""
    need = taken({"ncpus": whole / 10})
    free = minus(total({"ncpus": whole * parts / 10}), need, parts)
    assert Fraction(abs(free["ncpus"]), 1_000_000) <= Fraction(parts, 1_000_000)
    assert plus(free, need, parts) == total({"ncpus": whole * parts / 10})


def test_fits_asks_for_every_counter() -> None:
    assert fits({"ncpus": 1}, {"ncpus": 1})
    assert not fits({"ncpus": 2}, {"ncpus": 1})
    assert not fits({"ngpus": 1}, {"ncpus": 1})
    assert fits({}, {})


@pytest.mark.parametrize(
    ("text", "size"),
    [("memory::1k", 1024), ("memory::1K", 1000), ("size::1.5g", 1.5 * GIB), ("size::7", 7), ("size::2B", 2)],
)
def test_sizes(text: str, size: float) -> None:
    assert size_in_bytes(text) == size


@pytest.mark.parametrize(
    "text", ["memory::", "memory::4gb", "size::-1g", "size::1e3", "memory::4 g", "size::x"]
)
def test_a_size_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(InvalidAmount, match="is no size"):
        size_in_bytes(text)


@pytest.mark.parametrize(
    "value", [-1, -0.5, float("nan"), float("inf"), 10**16, 10**400, 1e300, True, None, "4"]
)
def test_an_amount_that_no_machine_could_have_is_refused(value: Any) -> None:
    with pytest.raises(InvalidAmount, match="ncpus"):
        units("ncpus", value, up=True)
