"""Slots are not tasks: how many places to work a backlog is worth."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler_app.passes.decide.slots import slots_wanted


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


@pytest.mark.parametrize(
    ("waiting", "runtime", "target", "boot", "serving", "wanted", "why"),
    [
        (0, 10, 300, 0, 0, 0, "nothing waits"),
        (1, 10, 300, 0, 0, 1, "one task needs one slot"),
        (30, 10, 300, 0, 0, 1, "one slot does them all in time"),
        (31, 10, 300, 0, 0, 2, "one does not"),
        (7, 200, 300, 0, 0, 7, "one slot does one such task in time"),
        (7, 4000, 300, 0, 0, 7, "longer than the target: one each"),
        (7, 0.001, 300, 0, 0, 1, "tiny tasks"),
        (60, 10, 300, 0, 1, 1, "who serves already does half"),
        (60, 10, 300, 0, 2, 0, "who serve already do all"),
        (60, 10, 300, 0, 50, 0, "never less than none"),
        (60, 10, 300, 120, 5, 0, "five do 60 tasks while a node boots"),
        (600, 10, 300, 120, 5, 13, "of 540 that are left then, five do 150"),
        (5, None, 300, 120, 3, 5, "unknown run time: one slot per task"),
    ],
)
def test_table(
    waiting: int, runtime: float | None, target: float, boot: float, serving: int, wanted: int, why: str
) -> None:
    found = slots_wanted(
        waiting,
        None if runtime is None else seconds(runtime),
        seconds(target),
        boot_time=seconds(boot),
        serving=serving,
    )
    assert found == wanted, why


def test_switched_off_it_is_one_slot_per_task() -> None:
    assert slots_wanted(100, seconds(1), seconds(300), enabled=False, serving=10) == 100


@given(
    waiting=st.integers(0, 10**6),
    runtime=st.floats(0.01, 10**5),
    target=st.floats(1, 10**4),
    serving=st.integers(0, 1000),
)
def test_the_slots_empty_the_backlog_in_time_and_one_less_would_not(
    waiting: int, runtime: float, target: float, serving: int
) -> None:
    more = slots_wanted(waiting, seconds(runtime), seconds(target), serving=serving)
    each = max(1, seconds(target) // seconds(runtime))

    assert (more + serving) * each >= waiting
    assert more == 0 or (more - 1 + serving) * each < waiting
    assert more <= waiting


@given(
    waiting=st.integers(0, 10**4),
    runtime=st.floats(0.1, 1000),
    serving=st.integers(0, 100),
    boot=st.floats(0, 600),
)
def test_it_never_asks_for_more_because_a_node_takes_time_to_boot(
    waiting: int, runtime: float, serving: int, boot: float
) -> None:
    at_once = slots_wanted(waiting, seconds(runtime), seconds(300), serving=serving)
    booted = slots_wanted(waiting, seconds(runtime), seconds(300), boot_time=seconds(boot), serving=serving)
    assert booted <= at_once


def test_a_run_time_of_nothing_is_as_good_as_unknown() -> None:
    assert slots_wanted(7, timedelta(), seconds(300), boot_time=seconds(60), serving=3) == 7
