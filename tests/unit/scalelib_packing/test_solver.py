"""The optimal packer: the same rules, the optimum where it can be known, the budget, and life without it."""

from __future__ import annotations

import importlib.util
import itertools
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalelib.packing import Bin, Item, Offer, Pool, has_solver, pack

pytestmark = pytest.mark.skipif(not has_solver(), reason="no highspy: install the extra 'solver'")


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_the_solver_keeps_every_rule_and_is_never_worse(problems, rules, data: st.DataObject) -> None:
    items, offers, pools = data.draw(problems())
    greedy = pack(items, offers, pools, solver=False)
    solved = pack(items, offers, pools, budget=0.3)
    rules(solved, items, offers, pools)
    assert sum(solved.unplaced.values()) <= sum(greedy.unplaced.values())
    if solved.unplaced == greedy.unplaced:
        assert solved.price <= greedy.price + 1e-9


def cheapest(items: list[Item], offers: list[Offer]) -> float:
    """The least money, by trying every way to put unit after unit into a bin."""
    units = [item for item in items for _ in range(item.count)]
    best = float("inf")

    def place(number: int, bins: list[tuple[Offer, tuple[int, ...]]], price: float) -> None:
        nonlocal best
        if price >= best - 1e-9:
            return
        if number == len(units):
            best = price
            return
        needs = units[number].needs
        for position, (offer, free) in enumerate(bins):
            rest = tuple(f - n for f, n in zip(free, needs, strict=True))
            if min(rest) >= 0:
                place(number + 1, [*bins[:position], (offer, rest), *bins[position + 1 :]], price)
        for offer in offers:
            rest = tuple(c - n for c, n in zip(offer.capacity, needs, strict=True))
            if min(rest) >= 0:
                place(number + 1, [*bins, (offer, rest)], price + offer.price)

    place(0, [], 0.0)
    return best


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 9)), min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(4, 9), st.integers(4, 14), st.integers(1, 9)), min_size=1, max_size=3),
)
@settings(max_examples=60, deadline=None)
def test_small_problems_are_solved_to_the_optimum(shapes, sizes) -> None:
    items = [Item(key=f"i{n}", count=count, needs=(a, b)) for n, (count, a, b) in enumerate(shapes)]
    offers = [Offer(key=f"o{n}", capacity=(a, b), price=float(p)) for n, (a, b, p) in enumerate(sizes)]
    largest = Offer(key="largest", capacity=(9, 14), price=10.0)
    packing = pack(items, [*offers, largest], budget=5.0)
    assert packing.price == pytest.approx(cheapest(items, [*offers, largest]))
    assert packing.bound is not None
    assert packing.bound <= packing.price


def test_the_solver_finds_what_greedy_cannot() -> None:
    """Ten of 6 and ten of 4 fit ten machines of 10 exactly, whatever looks best one machine at a time."""
    items = [Item(key=key, count=60, needs=(need,)) for key, need in (("a", 44), ("b", 33), ("c", 23))]
    offers = [Offer(key="o", capacity=(100,), price=1.0), Offer(key="p", capacity=(67,), price=0.68)]
    packing = pack(items, offers, budget=20.0)
    assert packing.decided_by == "solver"
    assert packing.price == pytest.approx(60.0)
    assert packing.bins == (Bin(offer="o", contents={"a": 1, "b": 1, "c": 1}, count=60),)
    assert packing.gap == pytest.approx(0.0, abs=1e-6)


def test_the_answer_does_not_depend_on_the_order_of_the_input() -> None:
    items = [Item(key=f"i{n}", count=n + 3, needs=(n + 1, 7 - n)) for n in range(4)]
    offers = [Offer(key=f"o{n}", capacity=(6 + n, 9 - n), price=1 + n / 10) for n in range(3)]
    packings = [
        pack(some_items, some_offers, budget=20.0)
        for some_items, some_offers in itertools.islice(
            zip(itertools.permutations(items), itertools.cycle(itertools.permutations(offers))), 6
        )
    ]
    assert all(packing == packings[0] for packing in packings)


def test_a_bin_may_hold_a_thousand_kinds(rules) -> None:
    """Nothing nests as deep as there are kinds in a bin."""
    items = [Item(key=f"i{n:04}", count=1, needs=(1000 + n,)) for n in range(1200)]
    offers = [
        Offer(key="o", capacity=(1_500_000,), price=1.0),
        Offer(key="p", capacity=(400_000,), price=0.3),
    ]
    rules(pack(items, offers, budget=1.0), items, offers, [])


def test_without_time_greedy_decides() -> None:
    items = [Item(key=f"i{n}", count=50, needs=(n + 3, 11 - n)) for n in range(8)]
    offers = [Offer(key=f"o{n}", capacity=(16 + n, 20 - n), price=1 + n / 10) for n in range(3)]
    greedy = pack(items, offers, solver=False)
    hurried = pack(items, offers, budget=0.0)
    assert hurried.decided_by == "greedy"
    assert hurried.bins == greedy.bins
    assert hurried.gap == greedy.gap


def test_the_budget_is_kept_by_the_clock_that_is_handed_in() -> None:
    """A clock that leaps past the budget at the second look ends the search at once."""
    looks = itertools.chain([0.0], itertools.repeat(1000.0))
    items = [Item(key=f"i{n}", count=50, needs=(n + 3, 11 - n)) for n in range(8)]
    offers = [Offer(key=f"o{n}", capacity=(16 + n, 20 - n), price=1 + n / 10) for n in range(3)]
    packing = pack(items, offers, budget=2.0, clock=lambda: next(looks))
    assert packing.decided_by == "greedy"
    assert packing.bins == pack(items, offers, solver=False).bins


LOADED_SLOWLY = """
import sys
from scalelib.packing import Item, Offer, pack

class Slow:
    seconds = 0.0

    def find_spec(self, name, path=None, target=None):
        if name == "scalelib.packing.highs":  # which loads it
            self.seconds = 1000.0

slow = Slow()
sys.meta_path.insert(0, slow)
items = [Item(key=key, count=60, needs=(need,)) for key, need in (("a", 44), ("b", 33), ("c", 23))]
offers = [Offer(key="o", capacity=(100,), price=1.0), Offer(key="p", capacity=(67,), price=0.68)]
packing = pack(items, offers, budget=2.0, clock=lambda: slow.seconds)
print(slow.seconds, packing.decided_by)
"""


def test_the_loading_of_the_solver_is_not_in_its_budget() -> None:
    """Else the first plan of a process on a busy machine is another one than the second."""
    told = subprocess.run(
        [sys.executable, "-c", LOADED_SLOWLY], capture_output=True, text=True, check=True, timeout=100
    )
    assert told.stdout.split() == ["1000.0", "solver"]


def test_without_highspy_greedy_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "highspy" else found(name, *more)
    )
    items = [Item(key=key, count=60, needs=(need,)) for key, need in (("a", 44), ("b", 33), ("c", 23))]
    offers = [Offer(key="o", capacity=(100,), price=1.0)]
    assert pack(items, offers).decided_by == "greedy"


def test_a_bound_is_proved_for_the_units_that_ceilings_let_in() -> None:
    """Room for two machines of four: eight of ten units are served, and they cannot cost less than two."""
    items = [Item(key="j", count=10, needs=(1,))]
    offers = [Offer(key="o", capacity=(4,), price=1.0, pools={"p": 4})]
    packing = pack(items, offers, [Pool(key="p", cores=11)])
    assert packing.unplaced == {"j": 2}
    assert packing.bound == pytest.approx(2.0)
    assert packing.gap == pytest.approx(0.0, abs=1e-6)


def test_running_machines_are_filled_fullest_first_also_by_the_solver() -> None:
    """Money is the same wherever the small job runs; the whole machine stays empty."""
    live = [
        Offer(key="half", capacity=(2,), price=0.0, most=1),
        Offer(key="whole", capacity=(8,), price=0.0, most=1),
    ]
    items = [Item(key="big", count=3, needs=(9,)), Item(key="small", count=2, needs=(1,))]
    packing = pack(items, [*live, Offer(key="o", capacity=(10,), price=1.0)])
    assert packing.price == 3.0
    assert "whole" not in {one.offer for one in packing.bins}


def test_a_solver_prints_nothing_to_standard_output() -> None:
    """Not its banner either, which HiGHS 1.16 prints when the first one of a process is made."""
    code = "from scalelib.packing.highs import new_solver; new_solver(); new_solver().run(); print('ours')"
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert told.stdout == "ours\n"
