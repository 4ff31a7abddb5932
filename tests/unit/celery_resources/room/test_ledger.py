"""The books of a node."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celery_resources.need.requirement import Requirement
from celery_resources.room import ledger as ledger_module
from celery_resources.room.ledger import Ledger

NODE = {"ncpus": 4, "memgb": 16, "licenses": 3}
REQUIREMENTS = st.builds(
    Requirement,
    st.fixed_dictionaries(
        {},
        optional={
            "ncpus": st.sampled_from([0, 0.1, 0.5, 1, 2, 4, 5]),
            "memgb": st.integers(0, 20),
            "memmb": st.sampled_from([100, 2048]),
            "licenses": st.integers(0, 3),
        },
    ),
    exclusive=st.booleans(),
)
ON_GPUS = st.builds(Requirement, st.fixed_dictionaries({"ngpus": st.sampled_from([0.5, 1, 2])}))


@given(st.lists(st.tuples(REQUIREMENTS, st.integers(0, 30)), max_size=40), st.integers(1, 8))
def test_whatever_starts_and_ends_no_counter_is_exceeded_and_nothing_leaks(
    tasks: list[tuple[Requirement, int]], slots: int
) -> None:
    ledger = Ledger(NODE, slots)
    for key, (requirement, victim) in enumerate(tasks):
        need = ledger.need(requirement)
        room = ledger.room_for_any([need])
        assert (room > 0) <= ledger.fits_now(need)
        if ledger.fits_now(need):
            assert ledger.fits_ever(need)
            ledger.start(key, need)
        for counter, total in ledger.total.items():
            assert sum(each.amounts.get(counter, 0) for each in ledger.running.values()) <= total
        assert len(ledger.running) <= slots
        if any(each.exclusive for each in ledger.running.values()):
            assert len(ledger.running) == 1
        if victim in ledger.running:
            ledger.end(victim)
    for key in list(ledger.running):
        ledger.end(key)
    assert ledger.free_in_words() == NODE


@given(st.lists(REQUIREMENTS, min_size=1, max_size=4), st.data())
def test_room_for_any_is_room_whichever_of_them_come(
    requirements: list[Requirement], data: st.DataObject
) -> None:
    ledger = Ledger(NODE, 4)
    needs = [ledger.need(each) for each in requirements]
    for key in range(ledger.room_for_any(needs)):
        need = data.draw(st.sampled_from(needs))
        assert ledger.fits_now(need)
        ledger.start(key, need)


@given(
    st.sampled_from([NODE, {**NODE, "ngpus": 2}]),
    st.lists(st.one_of(REQUIREMENTS, ON_GPUS), min_size=1, max_size=3),
    st.data(),
)
def test_an_outlook_that_is_remembered_is_that_of_the_state(
    resources: dict[str, Any], requirements: list[Requirement], data: st.DataObject
) -> None:
    ledger = Ledger(resources, 4)
    needs = tuple(ledger.need(each) for each in requirements)
    for step in range(data.draw(st.integers(1, 12))):
        if ledger.running and data.draw(st.booleans()):
            ledger.end(data.draw(st.sampled_from(sorted(ledger.running, key=str))))
        elif ledger.fits_now(need := data.draw(st.sampled_from(needs))):
            ledger.start(step, need)
        ledger.slots = data.draw(st.sampled_from([4, 4, 4, 2]))
        asked = data.draw(st.sampled_from([needs, needs[:1]]))
        room = ledger.room_for_any(asked)
        assert ledger.outlook(asked) == (room, ledger.is_refilled_by(asked, room))


def test_the_outlook_of_a_node_with_gpus_tells_which_of_them_are_free() -> None:
    ledger = Ledger({"ncpus": 4, "ngpus": 2}, 4)
    half, whole = ledger.need(Requirement({"ngpus": 0.5})), ledger.need(Requirement({"ngpus": 1}))
    for key in "abc":
        ledger.start(key, half)
    (alone,) = (
        key for key in "abc" if all(ledger.gpus.of(key) != ledger.gpus.of(o) for o in "abc" if o != key)
    )
    ledger.end(alone)
    assert ledger.outlook((whole,))[0] == 1
    ledger.start(alone, half)
    ledger.end(next(key for key in "abc" if key != alone))
    assert ledger.outlook((whole,))[0] == 0


def test_an_outlook_is_worked_out_once_for_each_state_and_few_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ledger_module, "FILLINGS", 3)
    ledger = Ledger({"ncpus": 8}, 8)
    need = ledger.need(Requirement({"ncpus": 1}))
    worked_out: list[object] = []

    def is_refilled_by(*state: object) -> bool:
        worked_out.append(state)
        return True

    monkeypatch.setattr(ledger, "is_refilled_by", is_refilled_by)
    for key in (0, 1, 1):
        ledger.start(key, need)
        ledger.outlook((need,))
        ledger.outlook((need,))
        ledger.end(key)
    assert len(worked_out) == 1
    for key in range(8):
        ledger.start(key, need)
        ledger.outlook((need,))
    assert len(worked_out) == 8
    assert len(ledger._fillings) <= 3


@given(
    st.lists(REQUIREMENTS, min_size=1, max_size=3),
    st.lists(st.integers(0, 2), min_size=1, max_size=8),
    st.lists(REQUIREMENTS, max_size=2),
    st.data(),
)
def test_what_refills_a_node_fits_whichever_tasks_end_and_whichever_come(
    requirements: list[Requirement], running: list[int], others: list[Requirement], data: st.DataObject
) -> None:
    ledger = Ledger(NODE, 6)
    kinds = [ledger.need(each) for each in requirements]
    for key, which in enumerate(running):
        need = kinds[which % len(kinds)]
        if ledger.fits_now(need):
            ledger.start(key, need)
    coming = [need for need in [*kinds[:1], *map(ledger.need, others)] if ledger.fits_ever(need)]
    room = ledger.room_for_any(coming) if coming else 0
    if not coming or not ledger.running or not ledger.is_refilled_by(coming, room):
        return
    ended = data.draw(st.lists(st.sampled_from(sorted(ledger.running)), min_size=1, unique=True))
    for key in ended:
        ledger.end(key)
    for key in [*ended, *map(str, range(room))]:
        need = data.draw(st.sampled_from(coming))
        assert ledger.fits_now(need)
        ledger.start(("new", key), need)


def test_a_node_is_refilled_by_what_takes_no_more_than_anything_that_runs() -> None:
    ledger = Ledger(NODE, 8)
    one, roomy = ledger.need(Requirement({"ncpus": 1})), ledger.need(Requirement({"ncpus": 1, "memgb": 12}))
    alone = ledger.need(Requirement({"ncpus": 1}, exclusive=True))
    ledger.start("a", roomy)
    assert ledger.is_refilled_by([one, roomy])
    assert not ledger.is_refilled_by([one, alone])
    ledger.start("b", one)
    assert ledger.is_refilled_by([one])
    assert not ledger.is_refilled_by([one, roomy]), "b leaves no memory"
    for key in ("a", "b"):
        ledger.end(key)
    ledger.start("c", alone)
    assert ledger.is_refilled_by([alone])
    assert not ledger.is_refilled_by([one])


def test_a_tenth_of_a_cpu_fits_ten_times() -> None:
    ledger = Ledger({"ncpus": 1}, 100)
    need = ledger.need(Requirement({"ncpus": 0.1}))
    for key in range(10):
        assert ledger.fits_now(need)
        ledger.start(key, need)
    assert not ledger.fits_now(need)
    assert ledger.free_in_words() == {"ncpus": 0}


def test_an_exclusive_task_leaves_nothing_free() -> None:
    ledger = Ledger(NODE, 8)
    ledger.start("a", ledger.need(Requirement({"ncpus": 1}, exclusive=True)))
    assert ledger.free_in_words() == {"ncpus": 0, "memgb": 0, "licenses": 0}
    assert not ledger.fits_now(ledger.need(Requirement({"ncpus": 1})))
    assert ledger.room_for_any([ledger.need(Requirement())]) == 0


def test_memory_in_any_unit_is_one_memory() -> None:
    ledger = Ledger({"memgb": 1}, 8)
    ledger.start("a", ledger.need(Requirement({"memmb": 512})))
    assert ledger.free_in_words() == {"memgb": 0.5}
    assert not ledger.fits_now(ledger.need(Requirement({"memory": "memory::513m"})))


def test_a_node_is_refilled_by_what_takes_more_if_there_is_enough_for_all() -> None:
    ledger = Ledger({"ncpus": 4, "memgb": 16}, 4)
    one, some = ledger.need(Requirement({"ncpus": 1})), ledger.need(Requirement({"ncpus": 1, "memgb": 4}))
    more = ledger.need(Requirement({"ncpus": 1, "memgb": 5}))
    for key in range(3):
        ledger.start(key, one)
    assert ledger.is_refilled_by([one, some], room=1)
    assert not ledger.is_refilled_by([one, some], room=2), "a fifth"
    assert not ledger.is_refilled_by([one, more], room=1), "20 GiB"
    assert ledger.is_refilled_by([one, more])


def test_tasks_that_hold_a_device_or_the_whole_node_are_each_looked_at() -> None:
    ledger = Ledger({**NODE, "ngpus": 2}, 4)
    one, alone = ledger.need(Requirement({"ncpus": 1})), ledger.need(Requirement(exclusive=True))
    assert ledger.runs_only(one), "nothing runs"
    assert not ledger.runs_only(alone)
    assert not ledger.runs_only(ledger.need(Requirement({"ngpus": 1})))
    ledger.start("task", one)
    assert ledger.runs_only(one)
    assert not ledger.runs_only(ledger.need(Requirement({"ncpus": 2})))


def test_of_what_can_never_run_here_nothing_is_kept() -> None:
    """Of what cannot be read each is a kind of its own: a sender of garbage would fill the memory."""
    ledger = Ledger(NODE, 8)
    need = replace(ledger.need(Requirement({"ncpus": 1})), unfit="it cannot be read")
    assert (ledger.fits_ever(need), ledger.fits_now(need)) == (False, False)
    assert (ledger._now.fits, ledger._fits_ever) == ({}, {})
