"""The knapsack and the small simplex under it, against trying everything."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalelib.packing.knapsack import all_contents, best_contents
from scalelib.packing.linear import maximise


@st.composite
def knapsacks(draw: st.DrawFn):
    """A capacity, items (number, worth, most units) and what each needs."""
    capacity = draw(st.lists(st.integers(0, 12), min_size=1, max_size=3))
    needs, items = [], []
    for number in range(draw(st.integers(1, 5))):
        amounts = [draw(st.integers(0, 5)) for _ in capacity]
        needs.append(tuple((d, amount) for d, amount in enumerate(amounts) if amount))
        items.append((number, draw(st.integers(0, 40)) / 8, draw(st.integers(0, 3))))
    return capacity, items, needs


def every_contents(capacity, items, needs):
    """(worth, pattern, full) of everything that fits."""
    found = []
    for units in itertools.product(*(range(most + 1) for _, _, most in items)):
        free = list(capacity)
        for count, item_needs in zip(units, needs, strict=True):
            for d, amount in item_needs:
                free[d] -= count * amount
        if min(free) < 0:
            continue
        full = not any(
            count < most and all(amount <= free[d] for d, amount in item_needs)
            for count, (_, _, most), item_needs in zip(units, items, needs, strict=True)
        )
        worth = sum(count * item[1] for count, item in zip(units, items, strict=True))
        found.append((worth, tuple((n, count) for n, count in enumerate(units) if count), full))
    return found


@given(knapsacks(), st.floats(0, 1.2))
@settings(max_examples=300, deadline=None)
def test_the_best_contents_are_found_or_known_not_to_be_worth_enough(knapsack, share: float) -> None:
    capacity, items, needs = knapsack
    worths = {pattern: worth for worth, pattern, _ in every_contents(capacity, items, needs)}
    optimum = max(worths.values())
    best = best_contents(capacity, items, needs, worth_over=optimum * share, nodes=100_000)
    assert best.at_most >= optimum * (1 - 1e-9)
    if share < 0.999 and optimum:
        assert best.worth == pytest.approx(optimum)
        assert worths[best.pattern] == pytest.approx(optimum)
        assert best.at_most == pytest.approx(optimum, rel=1e-6)
    if share > 1.001 and optimum:
        assert best.pattern == ()


@given(knapsacks(), st.integers(1, 5))
@settings(max_examples=100, deadline=None)
def test_out_of_nodes_the_contents_still_fit_and_the_ceiling_still_holds(knapsack, nodes: int) -> None:
    capacity, items, needs = knapsack
    worths = {pattern: worth for worth, pattern, _ in every_contents(capacity, items, needs)}
    best = best_contents(capacity, items, needs, nodes=nodes)
    assert best.at_most >= max(worths.values()) * (1 - 1e-9)
    assert worths[best.pattern] == pytest.approx(best.worth)


@given(knapsacks(), st.integers(0, 100))
@settings(max_examples=150, deadline=None)
def test_all_full_contents_worth_enough_are_named(knapsack, worth_over: int) -> None:
    capacity, items, needs = knapsack
    expected = {
        pattern
        for worth, pattern, full in every_contents(capacity, items, needs)
        if full and worth > worth_over / 8 + 0.01
    }
    found = all_contents(capacity, items, needs, worth_over=worth_over / 8 + 0.01, most=10_000, nodes=10**6)
    assert found is not None
    assert set(found) == expected
    assert len(found) == len(expected)


def test_too_many_contents_are_not_half_named() -> None:
    items = [(n, 1.0, 1) for n in range(10)]
    needs = [((0, 1),)] * 10
    assert all_contents([5], items, needs, worth_over=4.5, most=10, nodes=10**6) is None
    assert all_contents([5], items, needs, worth_over=4.5, most=10**6, nodes=10) is None


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(1, 3)), min_size=1
    ),
    st.tuples(st.integers(0, 30), st.integers(0, 30)),
)
@settings(max_examples=200, deadline=None)
def test_the_simplex_meets_its_own_bound(columns, limits) -> None:
    """Strong duality: what the x gains is what the prices of the rows say it can at most."""
    gains = [float(gain) for gain, _, _, _ in columns]
    rows = [[float(a) for _, a, _, _ in columns], [float(b) for _, _, b, _ in columns]]
    most = [float(units) for _, _, _, units in columns]
    x, prices = maximise(gains, rows, [float(limit) for limit in limits], most)
    for column, units in enumerate(most):
        if not rows[0][column] and not rows[1][column]:
            gains[column] = 0.0  # nothing limits it: it is left out
        assert -1e-9 <= x[column] <= units + 1e-9
    for row, limit in zip(rows, limits, strict=True):
        assert sum(a * amount for a, amount in zip(row, x, strict=True)) <= limit + 1e-6
    gained = sum(gain * amount for gain, amount in zip(gains, x, strict=True))
    bound = sum(price * limit for price, limit in zip(prices, limits, strict=True))
    for column, (gain, units) in enumerate(zip(gains, most, strict=True)):
        above = gain - sum(price * row[column] for price, row in zip(prices, rows, strict=True))
        bound += max(above, 0.0) * units
    assert gained == pytest.approx(bound, abs=1e-6)
