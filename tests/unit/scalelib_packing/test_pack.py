"""What a greedy packing may never do, whatever the input; and plain cases worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalelib.errors import InvalidInput
from scalelib.packing import Bin, Item, Offer, Pool, pack, rounds
from scalelib.packing.greedy import Greedy
from scalelib.packing.problem import read

pytestmark = pytest.mark.many_worlds


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_greedy_keeps_every_rule(problems, rules, data: st.DataObject) -> None:
    items, offers, pools = data.draw(problems())
    rules(pack(items, offers, pools, solver=False), items, offers, pools)


@given(st.data(), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_the_order_of_the_input_never_matters(problems, data: st.DataObject, draw) -> None:
    items, offers, pools = data.draw(problems())
    first = pack(items, offers, pools, solver=False)
    for rows in (items, offers, pools):
        draw.shuffle(rows)
    assert pack(items, offers, pools, solver=False) == first


def offer(key: str, *capacity: int, price: float = 1.0, **more: object) -> Offer:
    return Offer(key=key, capacity=capacity, price=price, **more)  # type: ignore[arg-type]


def item(key: str, count: int, *needs: int, **more: object) -> Item:
    return Item(key=key, count=count, needs=needs, **more)  # type: ignore[arg-type]


def test_running_machines_are_used_before_any_is_bought() -> None:
    packing = pack(
        [item("j", 10, 1)], [offer("buy", 8, price=0.1), offer("live", 4, price=0.0, most=2)], solver=False
    )
    assert packing.bins == (
        Bin(offer="buy", contents={"j": 2}, count=1),
        Bin(offer="live", contents={"j": 4}, count=2),
    )


def test_lower_tiers_of_running_machines_are_filled_first() -> None:
    live = [offer("booting", 4, price=0.0, most=1, tier=1), offer("ready", 4, price=0.0, most=1, tier=0)]
    packing = pack([item("j", 4, 1)], live, solver=False)
    assert packing.bins == (Bin(offer="ready", contents={"j": 4}, count=1),)


def test_work_goes_to_the_fullest_machines_so_that_whole_ones_stay_empty() -> None:
    live = [offer("half", 4, price=0.0, most=1), offer("whole", 8, price=0.0, most=1)]
    packing = pack([item("j", 4, 1)], live, solver=False)
    assert packing.bins == (Bin(offer="half", contents={"j": 4}, count=1),)


def test_an_exclusive_unit_is_alone() -> None:
    packing = pack([item("e", 3, 1, exclusive=True), item("s", 4, 1)], [offer("o", 4)], solver=False)
    assert packing.bins == (
        Bin(offer="o", contents={"e": 1}, count=3),
        Bin(offer="o", contents={"s": 4}, count=1),
    )


def test_units_of_an_item_are_spread_if_it_says_so() -> None:
    packing = pack([item("gang", 3, 1, most_per_bin=1)], [offer("o", 8)], solver=False)
    assert packing.bins == (Bin(offer="o", contents={"gang": 1}, count=3),)


def test_what_needs_nothing_fits_without_end() -> None:
    packing = pack([item("free", 1000, 0)], [offer("o", 1)], solver=False)
    assert packing.bins == (Bin(offer="o", contents={"free": 1000}, count=1),)


def test_what_fits_nowhere_is_left_over_and_nothing_is_bought_for_it() -> None:
    packing = pack([item("big", 2, 9), item("none", 1, 1, offers=frozenset())], [offer("o", 8)], solver=False)
    assert packing.bins == ()
    assert packing.unplaced == {"big": 2, "none": 1}
    assert packing.price == 0


def test_as_many_units_as_the_ceilings_allow_are_served_even_by_dear_machines() -> None:
    """One machine may be had: the one that serves more, not the one that serves for less."""
    offers = [offer("cheap", 2, price=0.1, pools={"p": 1}), offer("dear", 8, price=9.0, pools={"p": 1})]
    packing = pack([item("j", 8, 1)], offers, [Pool(key="p", nodes=1)], solver=False)
    assert packing.bins == (Bin(offer="dear", contents={"j": 8}, count=1),)


def test_a_pool_is_shared_by_the_offers_over_it() -> None:
    offers = [offer("a", 4, pools={"p": 4}), offer("b", 8, price=2.0, pools={"p": 8})]
    packing = pack([item("j", 100, 1)], offers, [Pool(key="p", cores=20)], solver=False)
    assert packing.unplaced == {"j": 80}


def test_money_decides_and_then_fewer_machines() -> None:
    """Two small machines cost as much as one large one: take the large one."""
    packing = pack([item("j", 8, 1)], [offer("small", 4), offer("large", 8, price=2.0)], solver=False)
    assert packing.bins == (Bin(offer="large", contents={"j": 8}, count=1),)


def test_a_million_units_cost_what_ten_cost() -> None:
    """Equal bins are one entry with a count, however many there are."""
    packing = pack([item("j", 1_000_000, 3)], [offer("o", 7)], solver=False)
    assert packing.bins == (Bin(offer="o", contents={"j": 2}, count=500_000),)


def test_the_bound_is_proved_by_whole_dimensions() -> None:
    """Ten cores at 1.00 for four are worth 2.50, and nobody sells less than three machines."""
    packing = pack([item("j", 10, 1)], [offer("o", 4)], solver=False)
    assert packing.price == 3
    assert packing.bound == pytest.approx(2.5)
    assert packing.gap == pytest.approx(0.2)
    assert packing.decided_by == "greedy"


def test_the_bound_counts_what_running_machines_have() -> None:
    live = offer("live", 6, price=0.0, most=1)
    packing = pack([item("j", 10, 1)], [offer("o", 4), live], solver=False)
    assert packing.price == 1
    assert packing.bound == pytest.approx(1.0)


def test_nothing_to_pack_is_an_empty_packing() -> None:
    assert pack([], [], solver=False).bins == ()
    assert pack([item("j", 1, 1)], [], solver=False).unplaced == {"j": 1}


@pytest.mark.parametrize(
    ("items", "offers", "pools", "words"),
    [
        ([item("j", -1, 1)], [], [], "item 'j': count -1"),
        ([item("j", 1, -1)], [], [], "item 'j': needs"),
        ([item("j", 1, 1, 1)], [offer("o", 1)], [], "must have 1 numbers"),
        ([item("j", 1, 1), item("j", 1, 1)], [], [], "two items have the key 'j'"),
        ([item("j", 1, 1, most_per_bin=-1)], [], [], "most_per_bin of item 'j': -1"),
        ([], [offer("o", 1), offer("p", 1, 2)], [], "offer 'p': capacity"),
        ([], [offer("o", -1)], [], "offer 'o': capacity"),
        ([], [offer("o", 1, price=float("nan"))], [], "offer 'o': price nan"),
        ([], [offer("o", 1, price=-0.1)], [], "offer 'o': price -0.1"),
        ([], [offer("o", 1, most=-1)], [], "most of offer 'o': -1"),
        ([], [offer("o", 1, pools={"p": 1})], [], "no pool 'p'"),
        ([], [offer("o", 1, pools={"p": -1})], [Pool(key="p")], "takes -1 cores of pool 'p'"),
        ([], [offer("o", 1), offer("o", 1)], [], "two offers have the key 'o'"),
        ([], [], [Pool(key="p", nodes=-1)], "nodes of pool 'p': -1"),
        ([], [], [Pool(key="p", cores=-1)], "cores of pool 'p': -1"),
    ],
)
def test_bad_input_is_named(items: list[Item], offers: list[Offer], pools: list[Pool], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        pack(items, offers, pools, solver=False)


@pytest.mark.parametrize("budget", [-1.0, float("nan")])
def test_a_budget_is_not_negative(budget: float) -> None:
    with pytest.raises(InvalidInput, match="budget"):
        pack([], [], budget=budget)


def test_without_regard_to_tiers_the_best_filled_machine_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some packings leave tiers aside: those that hold everything may need a late machine first."""
    early, late = offer("a", 8, price=0, most=1, tier=1), offer("b", 4, price=0, most=1, tier=2)
    problem = read([item("x", 1, 4)], [early, late], [])
    for by_tier, chosen in ((True, 0), (False, 1)):
        assert [each[0] for each in Greedy(problem, [1.0], [1.0], by_tier=by_tier).pack().bins] == [chosen]
    tried = []

    class Noting(Greedy):
        def __init__(self, *args: Any, by_tier: bool = True, **more: Any) -> None:
            tried.append(by_tier)
            super().__init__(*args, by_tier=by_tier, **more)

    monkeypatch.setattr(rounds, "Greedy", Noting)
    pack([item("x", 5, 4)], [early, late], solver=False)
    assert min(tried.count(True), tried.count(False)) > 20
