"""Keeping room for a big task, and handing out GPUs."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celery_resources.need.requirement import Requirement
from celery_resources.room.gpus import Gpus
from celery_resources.room.ledger import Ledger, Need
from celery_resources.room.reserving import Crowded, Reservation
from scalelib.amounts import MILLION

NODE = {"ncpus": 4, "memgb": 16}


def _need(ledger: Ledger, **constraints: float) -> Need:
    return ledger.need(Requirement(constraints))


def _reserved(ledger: Ledger, need: Need) -> Reservation:
    reservation = Reservation(ledger, 10.0, random.Random(1))
    reservation.look({"big": Crowded(need=need, waiting=1)}, 0.0)
    reservation.look({"big": Crowded(need=need, waiting=1)}, 100.0)
    return reservation


def test_room_is_kept_only_for_what_waits_for_long() -> None:
    ledger = Ledger(NODE, 8)
    big = _need(ledger, ncpus=4)
    ledger.start("small", _need(ledger, ncpus=1))
    reservation = Reservation(ledger, 10.0, random.Random(1))
    reservation.look({"big": Crowded(need=big, waiting=3)}, 0.0)
    reservation.look({"big": Crowded(need=big, waiting=3)}, 9.9)
    assert reservation.queue is None
    reservation.look({"big": Crowded(need=big, waiting=3)}, 20.1)
    assert reservation.queue == "big"


def test_a_kind_that_waited_and_was_served_begins_anew() -> None:
    ledger = Ledger(NODE, 8)
    big = _need(ledger, ncpus=4)
    reservation = Reservation(ledger, 10.0, random.Random(1))
    reservation.look({"big": Crowded(need=big, waiting=1)}, 0.0)
    reservation.look({"big": Crowded(need=big, waiting=0)}, 5.0)
    reservation.look({"big": Crowded(need=big, waiting=1)}, 25.0)
    assert reservation.queue is None


def test_free_room_is_filled_where_that_does_not_delay_the_big_one() -> None:
    ledger = Ledger(NODE, 8)
    ledger.start("old", _need(ledger, ncpus=1, memgb=12))
    reservation = _reserved(ledger, _need(ledger, ncpus=2, memgb=12))
    small, wide, roomy = _need(ledger, ncpus=1), _need(ledger, ncpus=3), _need(ledger, ncpus=1, memgb=6)
    assert reservation.allows("small", small)
    assert not reservation.allows("wide", wide)
    assert not reservation.allows("roomy", roomy)
    for key in ("a", "b"):
        ledger.start(key, small)
        reservation.started(key, "small")
    assert not reservation.allows("small", small), "two cpus are for the big one"
    ledger.end("a")
    assert reservation.allows("small", small)


def test_nothing_begins_beside_an_exclusive_task_that_waits() -> None:
    ledger = Ledger(NODE, 8)
    reservation = _reserved(ledger, ledger.need(Requirement({"ncpus": 1}, exclusive=True)))
    assert not reservation.allows("small", _need(ledger, ncpus=0.1))
    assert reservation.allows("big", _need(ledger, ncpus=1))


@pytest.mark.parametrize("how", ["it starts here", "none waits any more", "released"])
def test_a_reservation_ends(how: str) -> None:
    ledger = Ledger(NODE, 8)
    big = _need(ledger, ncpus=4)
    reservation = _reserved(ledger, big)
    if how == "it starts here":
        reservation.started("task", "big")
    elif how == "none waits any more":
        reservation.look({"big": Crowded(need=big, waiting=0)}, 200.0)
    else:
        reservation.release()
    assert reservation.queue is None
    assert reservation.allows("small", _need(ledger, ncpus=4))


AMOUNTS = st.sampled_from(
    [0, MILLION // 4, MILLION // 2, MILLION * 3 // 4, MILLION, MILLION * 3 // 2, 2 * MILLION]
)


@given(st.integers(0, 4), st.lists(st.tuples(AMOUNTS, st.integers(0, 20)), max_size=30))
def test_no_gpu_is_given_out_twice(count: int, tasks: list[tuple[int, int]]) -> None:
    gpus = Gpus(count * MILLION)
    running: dict[int, int] = {}
    for key, (amount, victim) in enumerate(tasks):
        if gpus.fits(amount):
            gpus.take(key, amount)
            running[key] = amount
            whole, part = divmod(amount, MILLION)
            assert len(gpus.of(key)) == whole + bool(part)
        for index in range(count):
            on_it = [running[each] for each in running if index in gpus.of(each)]
            assert sum(min(each, MILLION) for each in on_it) <= MILLION or all(
                each % MILLION for each in on_it
            )
            if MILLION in on_it:
                assert on_it == [MILLION]
        if victim in running:
            gpus.give_back(victim)
            del running[victim]
    for key in running:
        gpus.give_back(key)
    assert gpus.fits(count * MILLION)


@given(st.integers(1, 4), st.lists(AMOUNTS, max_size=4), st.lists(AMOUNTS, min_size=1, max_size=3), st.data())
def test_room_for_gpus_is_room_whichever_come(
    count: int, taken: list[int], amounts: list[int], data: st.DataObject
) -> None:
    gpus = Gpus(count * MILLION)
    for key, amount in enumerate(taken):
        if gpus.fits(amount):
            gpus.take(("before", key), amount)
    if not any(amounts):
        return
    for key in range(gpus.room_for_any(amounts)):
        amount = data.draw(st.sampled_from(amounts))
        assert gpus.fits(amount)
        gpus.take(key, amount)


def test_a_gpu_that_is_begun_is_room_for_the_part_of_the_next() -> None:
    gpus = Gpus(3 * MILLION)
    gpus.take("first", 3 * MILLION // 2)
    assert gpus.fits(3 * MILLION // 2)
    assert gpus.room_for_any([3 * MILLION // 2]) == 1
    assert gpus.room_for_any([3 * MILLION // 2, 2 * MILLION]) == 0, "it might turn out to be the larger one"
