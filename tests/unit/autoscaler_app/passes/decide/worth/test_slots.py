"""Slots are not tasks: how many places to work a backlog is worth."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler_app.passes.decide.worth.slots import slots_wanted


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
        (600, 10, 300, 120, 5, 13, "of 600 five do 210 by the time at which new ones have done theirs"),
        (5, None, 300, 120, 3, 5, "unknown run time: one slot per task"),
    ],
)
def test_table(
    waiting: int, runtime: float | None, target: float, boot: float, serving: int, wanted: int, why: str
) -> None:
    """Who serves is about to end what it does."""
    found = slots_wanted(
        waiting,
        None if runtime is None else seconds(runtime),
        seconds(target),
        boot_time=seconds(boot),
        serving=[seconds(runtime or 0)] * serving,
    )
    assert found == wanted, why


HOUR = 3600.0


@pytest.mark.parametrize(
    ("waiting", "boot", "so_far", "held", "wanted", "why"),
    [
        (10, 120, [60.0] * 10, 0, 10, "none of them ends before a node is up"),
        (10, 120, [HOUR - 100] * 10, 0, 0, "each ends before that, and takes one"),
        (10, 120, [HOUR - 100] * 4 + [60.0] * 6, 0, 6, "four end before that"),
        (10, 120, [HOUR + 100] * 10, 0, 0, "a little over the mean: about to end"),
        (10, 120, [2 * HOUR] * 10, 0, 10, "long over the mean: nobody knows"),
        (10, 0, [60.0] * 10, 0, 10, "nothing boots in no time, and none ends sooner"),
        (10, 120, [HOUR - 100] * 10, 3, 3, "what is held comes first"),
        (10, 120, [], 30, 10, "never more than wait"),
    ],
)
def test_a_slot_takes_what_it_can_do_in_the_time(
    waiting: int, boot: float, so_far: list[float], held: int, wanted: int, why: str
) -> None:
    """Tasks of an hour, to be worked off within five minutes."""
    found = slots_wanted(
        waiting,
        seconds(HOUR),
        seconds(300),
        boot_time=seconds(boot),
        serving=map(seconds, so_far),
        held=held,
    )
    assert found == wanted, why


def test_switched_off_it_is_one_slot_per_task() -> None:
    assert slots_wanted(100, seconds(1), seconds(300), enabled=False, serving=[seconds(1)] * 10) == 100


@given(
    waiting=st.integers(0, 10**6),
    runtime=st.floats(0.01, 10**5),
    target=st.floats(1, 10**4),
    so_far=st.lists(st.floats(0, 10**5), max_size=100),
    boot=st.floats(0, 600),
)
def test_the_slots_empty_the_backlog_in_time_and_one_less_would_not(
    waiting: int, runtime: float, target: float, so_far: list[float], boot: float
) -> None:
    serving = [seconds(each) for each in so_far]
    more = slots_wanted(waiting, seconds(runtime), seconds(target), boot_time=seconds(boot), serving=serving)
    each = max(1, seconds(target) // seconds(runtime))
    time = seconds(boot) + max(seconds(target), seconds(runtime))
    done = sum(
        (time - min(abs(seconds(runtime) - some), seconds(runtime))) // seconds(runtime) for some in serving
    )
    assert more * each + done >= waiting
    assert more == 0 or (more - 1) * each + done < waiting
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
    busy = [seconds(0)] * serving
    at_once = slots_wanted(waiting, seconds(runtime), seconds(300), serving=busy)
    booted = slots_wanted(waiting, seconds(runtime), seconds(300), boot_time=seconds(boot), serving=busy)
    assert booted <= at_once


def test_a_run_time_of_nothing_is_as_good_as_unknown() -> None:
    busy = [timedelta()] * 3
    assert slots_wanted(7, timedelta(), seconds(300), boot_time=seconds(60), serving=busy) == 7
