"""Which requests for a pass are covered by one that was made: nothing is done twice, nothing is left out."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from autoscaler_app.schedule import ASKED_EVERY, every
from autoscaler_app.worker import steps as worker

EVERY = 15.0


class Clocks:
    """A wall clock and a monotonic one, for the worker alone."""

    def __init__(self) -> None:
        self.wall, self.steady = 1_000_000.0, 500.0

    def time(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.steady

    def go_on(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    made = Clocks()
    monkeypatch.setattr(worker, "time", made)
    monkeypatch.setattr(worker, "_last_look", None)
    monkeypatch.setattr(worker, "_began", 0.0)
    return made


def make_pass(clocks: Clocks, number: int, takes: float = 1.0, error: str = "") -> None:
    with worker.pass_begins(gap=0.0):
        clocks.go_on(takes)
    worker.pass_made(SimpleNamespace(number=number, error=error))


def test_nothing_is_covered_before_the_first_pass(clocks: Clocks) -> None:
    assert worker.covered_by(clocks.wall - 10) is None


def test_what_was_asked_before_a_pass_began_is_covered_and_what_was_asked_after_is_not(
    clocks: Clocks,
) -> None:
    began = clocks.wall
    make_pass(clocks, 7)
    assert worker.covered_by(began - 0.001) == 7
    assert worker.covered_by(began + 0.001) is None


def test_a_pass_that_failed_covers_nothing(clocks: Clocks) -> None:
    began = clocks.wall
    make_pass(clocks, 7, error="no answer")
    assert worker.covered_by(began - 1) is None


@pytest.mark.parametrize("late", [0.1, 2.0, 7.5, 8.9, 13.0, 14.9])
def test_a_second_beat_adds_no_pass_wherever_in_the_interval_it_asks(clocks: Clocks, late: float) -> None:
    """A pass at every interval, as with one beat; never two."""
    start, passes = clocks.wall, 0
    asked = sorted(start + n * EVERY + shift for n in range(20) for shift in (0.0, late))
    for at in asked:
        clocks.go_on(at - clocks.wall)
        if worker.covered_by(at, EVERY) is None:
            passes += 1
            make_pass(clocks, passes, takes=0.0)
    assert 20 <= passes <= 21


def test_one_beat_that_is_a_little_early_or_late_gets_every_pass_it_asks_for(clocks: Clocks) -> None:
    start, passes = clocks.wall, 0
    for n, shift in enumerate([0.0, 0.3, -0.3, 2.0, -2.0, 0.0, 1.0]):
        clocks.go_on(start + n * EVERY + shift - clocks.wall)
        if worker.covered_by(clocks.wall, EVERY) is None:
            passes += 1
            make_pass(clocks, passes, takes=0.0)
    assert passes == 7


def test_a_call_is_not_covered_by_a_pass_just_before_it_as_a_beat_is(clocks: Clocks) -> None:
    make_pass(clocks, 1, takes=0.0)
    clocks.go_on(0.5)
    assert worker.covered_by(clocks.wall, EVERY) == 1
    assert worker.covered_by(clocks.wall) is None


@pytest.mark.parametrize("step", [-86_400.0, -3600.0, -2.0, 3600.0])
def test_after_the_clock_was_set_nothing_is_covered(clocks: Clocks, step: float) -> None:
    """A clock set back would otherwise have every request covered until it has caught up."""
    make_pass(clocks, 1)
    clocks.wall += step
    clocks.go_on(20.0)
    assert worker.covered_by(clocks.wall) is None
    assert worker.covered_by(clocks.wall, EVERY) is None
    make_pass(clocks, 2)
    assert worker.covered_by(clocks.wall - 5) == 2


def test_beats_say_how_often_they_ask(clocks: Clocks) -> None:
    (entry,) = every(EVERY).values()
    assert entry["options"]["headers"] == {ASKED_EVERY: EVERY}
    assert entry["options"]["expires"] < EVERY
