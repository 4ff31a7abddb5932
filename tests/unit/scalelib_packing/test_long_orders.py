"""Thousands of items are packed with arrays, where numpy is there: the same packing, by fewer looks."""

from __future__ import annotations

import importlib
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scalelib.packing import Item, Offer, Packing, arrays, order, pack, shapes
from scalelib.packing.greedy import Greedy
from scalelib.packing.problem import read
from tests.unit.scalelib.growth import exponent, lines


def by(many: int, monkeypatch: pytest.MonkeyPatch, *problem: object) -> Packing:
    """Packed with arrays from so many items on; and so short a look ahead that few items take many."""
    with monkeypatch.context() as patch:
        for module in (arrays, shapes):
            patch.setattr(module, "MANY", many)
        patch.setattr(order, "AHEAD", 2)
        return pack(*problem, solver=False)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(data=st.data())
def test_arrays_change_no_packing(problems, monkeypatch: pytest.MonkeyPatch, data: st.DataObject) -> None:
    pytest.importorskip("numpy")
    problem = data.draw(problems())
    assert by(1, monkeypatch, *problem) == by(10**9, monkeypatch, *problem)


def many(count: int) -> tuple[list[Item], list[Offer]]:
    """As many different items, and offers of which some have equal bins."""
    chance = random.Random(count)
    items = [
        Item(key=f"i{n:05d}", count=chance.choice((1, 1, 3)), needs=(chance.randint(0, 8), 100 + 7 * n))
        for n in range(count)
    ]
    offers = [
        Offer(key=f"o{n}", capacity=(2 ** (n % 4 + 2), 9 * count), price=1.0 + n, most=None if n else 3)
        for n in range(8)
    ]
    return items, offers


def looks(count: int) -> int:
    """Lines that fill bins, in one packing."""
    problem = read(*many(count), ())
    greedy = Greedy(problem, [1.0 + n % 7 for n in range(count)], (1.0, 1.0))
    return lines(greedy.pack, "order.py")


def test_the_looks_at_items_grow_as_their_number_does() -> None:
    """Twice the items are twice the bins: were each to look at each item, four times the looks."""
    pytest.importorskip("numpy")
    assert exponent(looks(400), looks(800)) < 1.3


def test_hundreds_of_items_are_packed_the_same_with_numpy_and_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem = many(arrays.MANY + 200)
    usual = pack(*problem, solver=False)
    assert usual == by(1, monkeypatch, *problem)
    monkeypatch.setattr(arrays, "numpy", lambda: None)
    assert usual == pack(*problem, solver=False)


def test_numpy_is_loaded_for_many_items_only_and_for_amounts_that_it_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    real = importlib.import_module
    monkeypatch.setattr(arrays, "numpy", lambda: asked.append(1) or real("numpy"))
    pack(*many(arrays.MANY - 1), solver=False)
    assert not asked
    items, offers = many(arrays.MANY)
    vast = Offer(key="vast", capacity=(1 << 60, 1 << 60), price=1e9)
    assert pack(items, [*offers, vast], solver=False).bins == pack(items, offers, solver=False).bins


def test_hundreds_of_items_that_take_nothing_share_bins() -> None:
    items = [Item(key=f"i{n:05d}", count=1 + (n > 9), needs=(), most_per_bin=1) for n in range(arrays.MANY)]
    bins = pack(items, [Offer(key="o", capacity=(), price=1.0)], solver=False).bins
    assert sorted(len(each.contents) for each in bins) == [arrays.MANY - 10, arrays.MANY]


def test_an_item_that_ran_out_is_marked_and_not_looked_at_again() -> None:
    np = pytest.importorskip("numpy")
    left = order.Left([9, 1, 1, 9], many=True)
    needs = [((0, 4),), ((0, 1),), ((0, 2),), ((0, 4),)]
    goods = order.Goods(needs, [1.0] * 4, [9] * 4)
    long = order.LongOrder(np.arange(4), [np.array([4, 1, 2, 4])])
    assert long.fill([3], goods, left) == (2.0, [(1, 1), (2, 1)])
    left.take([(1, 1)], 1)
    assert left.gone == [1]
    assert left.there.tolist() == [True, False, True, True]
    assert long.fill([3], goods, left) == (1.0, [(2, 1)])
    assert (
        lines(lambda: long.fill([1], goods, left), "order.py") < 45
    )  # 60 if it comes to the one that is gone


def test_a_bin_in_which_nothing_has_room_any_more_is_not_gone_through() -> None:
    """Where all need a core, and the smallest of them more than is left, nobody else is looked at."""
    goods = order.Goods([((0, 4),)], [1.0], [9])
    left = order.Left([1], many=False)
    worth, contents = order.Order([0, 1], ((0, 3),)).fill((6,), goods, left)  # there is no item 1
    assert (worth, contents) == (1.0, [(0, 1)])


def test_what_all_items_need_is_what_the_least_of_them_needs() -> None:
    needs = [((0, 4), (1, 5)), ((0, 3),), ((0, 8), (1, 1))]
    assert shapes.FewShares((8, 8), [0, 1, 2], needs).orders([1.0] * 3)[0]._least_of_all == ((0, 3),)
    assert shapes.FewShares((8, 8), [0, 2], needs).orders([1.0] * 3)[0]._least_of_all == ((0, 4), (1, 1))
