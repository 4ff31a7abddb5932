"""Proved bounds: never above what a packing really costs, and above the linear bound where that is weak."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalelib.packing import Item, Offer, has_solver, pack

pytestmark = pytest.mark.skipif(not has_solver(), reason="no highspy: install the extra 'solver'")


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 6), st.integers(0, 9)), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(4, 9), st.integers(4, 14), st.integers(1, 9)), min_size=1, max_size=3),
    st.integers(0, 3),
    st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_no_proof_exceeds_the_price_of_a_packing(shapes, sizes, live: int, exclusive: bool) -> None:
    """Even judged beside the plain greedy packing, no bound exceeds the best packing known."""
    from scalelib.packing.proof import prove

    items = [
        Item(key=f"i{n}", count=count, needs=(a, b), exclusive=exclusive and n == 0)
        for n, (count, a, b) in enumerate(shapes)
    ]
    offers = [Offer(key=f"o{n}", capacity=(a, b), price=float(p)) for n, (a, b, p) in enumerate(sizes)]
    offers.append(Offer(key="largest", capacity=(9, 14), price=10.0))
    offers.append(Offer(key="live", capacity=(5, 8), price=0.0, most=live))
    greedy = pack(items, offers, solver=False)
    solved = pack(items, offers, budget=1.0)
    proof = prove(items, offers, packing=greedy, budget=2.0)
    assert proof.bound <= solved.price + 1e-6
    if solved.price:
        assert proof.bound >= (solved.bound or 0.0) * (1 - 1e-4)


def test_whole_machines_prove_more_than_parts_of_them() -> None:
    """Five units of three cores: parts of machines cost 15/8 of the price, whole ones two prices."""
    from scalelib.packing.proof import prove

    items = [Item(key="j", count=5, needs=(3,))]
    offers = [Offer(key="o", capacity=(8,), price=1.0)]
    packing = pack(items, offers, solver=False)
    assert packing.price == pytest.approx(math.ceil(5 / 2))
    proof = prove(items, offers, packing=packing, budget=5.0)
    assert proof.bound == pytest.approx(3.0, rel=1e-5)
    assert proof.by == "whole machines"


def test_the_solver_reports_the_bound_by_whole_machines() -> None:
    """A machine for one unit and a half is two machines: the gap is none."""
    items = [Item(key="j", count=5, needs=(3,)), Item(key="k", count=3, needs=(5,))]
    offers = [Offer(key="o", capacity=(8,), price=1.0), Offer(key="p", capacity=(5,), price=0.7)]
    packing = pack(items, offers)
    assert packing.price == pytest.approx(4.0)
    assert packing.gap == pytest.approx(0.0, abs=1e-4)
