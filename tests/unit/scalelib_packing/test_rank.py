"""Orders of preference that are not money."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalelib.packing import Bin, Choice, Item, Offer, Pool, by_priority, least_waste, most_available, pack

JOBS = [Item(key="j", count=4, needs=(1,))]
EXACT = Offer(key="exact", capacity=(4,), price=5.0, most=1)
LARGE = Offer(key="large", capacity=(9,), price=1.0, most=7)


@pytest.mark.parametrize(
    ("rank", "chosen"),
    [
        (None, "large"),
        (least_waste, "exact"),
        (most_available, "large"),
        (by_priority({"exact": 2, "large": 1}), "exact"),
        (by_priority({"large": 2}), "large"),
    ],
)
def test_a_rank_decides_before_money(rank, chosen: str) -> None:
    packing = pack(JOBS, [EXACT, LARGE], rank=rank, solver=False)
    assert packing.bins == (Bin(offer=chosen, contents={"j": 4}, count=1),)


def test_money_breaks_ties_of_a_rank() -> None:
    offers = [Offer(key="a", capacity=(4,), price=2.0), Offer(key="b", capacity=(4,), price=1.0)]
    packing = pack(JOBS, offers, rank=by_priority({}))
    assert packing.bins == (Bin(offer="b", contents={"j": 4}, count=1),)


def test_running_machines_come_before_any_rank() -> None:
    live = Offer(key="live", capacity=(4,), price=0.0, most=1)
    packing = pack(JOBS, [EXACT, live], rank=by_priority({"exact": 9}))
    assert packing.bins == (Bin(offer="live", contents={"j": 4}, count=1),)


def test_the_next_offer_is_taken_where_a_preferred_one_ends() -> None:
    items = [Item(key="j", count=13, needs=(1,))]
    packing = pack(items, [EXACT, LARGE], rank=by_priority({"exact": 1}))
    assert packing.bins == (
        Bin(offer="exact", contents={"j": 4}, count=1),
        Bin(offer="large", contents={"j": 9}, count=1),
    )


def test_a_rank_sees_the_room_that_other_offers_have_used() -> None:
    """Two offers over one pool of three: opening one takes room from the other as well."""
    rooms: list[tuple[str, int]] = []

    def rank(choice: Choice) -> tuple[int, ...]:
        rooms.append((choice.offer.key, choice.room))
        return ()

    offers = [Offer(key=key, capacity=(4,), price=1.0, pools={"p": 1}) for key in ("a", "b")]
    items = [Item(key="j", count=6, needs=(1,))]
    pack(items, offers, [Pool(key="p", nodes=3)], rank=rank)
    assert rooms == [("a", 3), ("b", 3), ("a", 2), ("b", 2)]


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_ranked_packings_keep_every_rule(problems, rules, data: st.DataObject) -> None:
    items, offers, pools = data.draw(problems())
    rank = data.draw(st.sampled_from((least_waste, most_available, by_priority({"a": 1, "b": 2}))))
    rules(pack(items, offers, pools, rank=rank), items, offers, pools)
