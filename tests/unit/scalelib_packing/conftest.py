"""Strategies for random demand, and the rules that hold for every packing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import pytest
from hypothesis import strategies as st

from scalelib.packing import Item, Offer, Packing, Pool

OFFER_KEYS = ("a", "b", "c", "d", "live-1", "live-2")
POOL_KEYS = ("x", "y")

amounts = st.tuples(st.integers(0, 9), st.integers(0, 20), st.integers(0, 2))
rows_of_items = st.lists(
    st.tuples(
        st.integers(0, 30) | st.integers(0, 1_000_000),
        amounts,
        st.booleans(),
        st.none() | st.frozensets(st.sampled_from(OFFER_KEYS)),
        st.none() | st.integers(0, 5),
    ),
    max_size=7,
)
limit = st.none() | st.integers(0, 60)


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[Item], list[Offer], list[Pool]]:
    """Items, offers and pools, with every option now and then."""
    items = [
        Item(key=f"i{n}", count=count, needs=needs, exclusive=exclusive, offers=offers, most_per_bin=most)
        for n, (count, needs, exclusive, offers, most) in enumerate(draw(rows_of_items))
    ]
    offers = []
    for key in draw(st.lists(st.sampled_from(OFFER_KEYS), unique=True, max_size=6)):
        live = key.startswith("live")
        offers.append(
            Offer(
                key=key,
                capacity=draw(st.tuples(st.integers(0, 16), st.integers(0, 64), st.integers(0, 4))),
                price=0.0 if live else draw(st.sampled_from((0.1, 0.25, 0.5, 1.0, 3.0))),
                most=draw(st.integers(0, 9)) if live else draw(st.none() | st.integers(0, 40)),
                pools=draw(st.dictionaries(st.sampled_from(POOL_KEYS), st.integers(0, 16))),
                tier=draw(st.integers(0, 1)),
            )
        )
    pools = [Pool(key=key, nodes=draw(limit), cores=draw(limit)) for key in POOL_KEYS]
    return items, offers, pools


def check(packing: Packing, items: Sequence[Item], offers: Sequence[Offer], pools: Sequence[Pool]) -> None:
    """Every rule that holds for every packing."""
    item_of = {item.key: item for item in items}
    offer_of = {offer.key: offer for offer in offers}
    placed: Counter[str] = Counter()
    bins: Counter[str] = Counter()
    for one in packing.bins:
        offer = offer_of[one.offer]
        assert one.count > 0
        assert one.contents, "an empty bin was opened"
        bins[one.offer] += one.count
        used = [0] * len(offer.capacity)
        for key, units in one.contents.items():
            item = item_of[key]
            assert units > 0
            assert item.offers is None or one.offer in item.offers
            assert item.most_per_bin is None or units <= item.most_per_bin
            if item.exclusive:
                assert dict(one.contents) == {key: 1}, "an exclusive unit is not alone"
            placed[key] += units * one.count
            used = [u + units * need for u, need in zip(used, item.needs, strict=True)]
        assert all(u <= c for u, c in zip(used, offer.capacity, strict=True)), "a bin is over-filled"
    for item in items:
        assert placed[item.key] + packing.unplaced.get(item.key, 0) == item.count
    assert all(units > 0 for units in packing.unplaced.values())
    for offer in offers:
        assert offer.most is None or bins[offer.key] <= offer.most
    for pool in pools:
        nodes, cores = _taken(pool, offers, bins)
        assert pool.nodes is None or nodes <= pool.nodes
        assert pool.cores is None or cores <= pool.cores
    assert packing.price == pytest.approx(sum(offer_of[one.offer].price * one.count for one in packing.bins))
    if packing.bound is not None:
        assert packing.bound <= packing.price + 1e-9
    _check_nothing_more_fits(packing, items, offers, pools, bins)


def _taken(pool: Pool, offers: Sequence[Offer], bins: Counter[str]) -> tuple[int, int]:
    over = [offer for offer in offers if pool.key in offer.pools]
    return sum(bins[o.key] for o in over), sum(bins[o.key] * o.pools[pool.key] for o in over)


def _check_nothing_more_fits(
    packing: Packing,
    items: Sequence[Item],
    offers: Sequence[Offer],
    pools: Sequence[Pool],
    bins: Counter[str],
) -> None:
    """A unit is left over only if no offer that can hold it has room."""
    for offer in offers:
        room = offer.most is None or bins[offer.key] < offer.most
        for pool in pools:
            if pool.key in offer.pools:
                nodes, cores = _taken(pool, offers, bins)
                room = room and (pool.nodes is None or nodes + 1 <= pool.nodes)
                room = room and (pool.cores is None or cores + offer.pools[pool.key] <= pool.cores)
        for item in items:
            fits = (
                (item.offers is None or offer.key in item.offers)
                and item.most_per_bin != 0
                and all(need <= free for need, free in zip(item.needs, offer.capacity, strict=True))
            )
            assert not (room and fits and packing.unplaced.get(item.key)), f"{item.key} fits into {offer.key}"


@pytest.fixture(scope="session", name="problems")
def _problems() -> Callable[[], st.SearchStrategy[tuple[list[Item], list[Offer], list[Pool]]]]:
    """A strategy for random problems, to draw from."""
    return problems


@pytest.fixture(scope="session")
def rules() -> Callable[..., None]:
    """Check every rule that holds for every packing: `rules(packing, items, offers, pools)`."""
    return check


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """Short ways to write items and offers."""

    def item(key: str, count: int, *needs: int, **more: object) -> Item:
        return Item(key=key, count=count, needs=needs, **more)  # type: ignore[arg-type]

    def offer(key: str, *capacity: int, price: float = 1.0, **more: object) -> Offer:
        return Offer(key=key, capacity=capacity, price=price, **more)  # type: ignore[arg-type]

    return SimpleNamespace(item=item, offer=offer)
