"""Passes are asked for at the interval, whatever happens to the clock of beat's host."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from autoscaler_app.celery import app
from celeryconfig import beat_schedule

Start = Callable[..., object]
HOUR = 3600.0
DAY = 24 * HOUR


def test_the_default_scheduler_is_the_one_whose_clock_may_step() -> None:
    assert app.conf.beat_scheduler == "autoscaler_app.beat:FileScheduler"
    assert app.conf.beat_schedule == beat_schedule


def test_a_request_is_sent_at_every_interval(start_beat: Start) -> None:
    beat = start_beat(interval=15.0)
    beat.run(10 * 60)
    assert 39 <= len(beat.sent) <= 41
    assert beat.longest_gap() == pytest.approx(15.0, abs=0.1)


@pytest.mark.parametrize("step", [-DAY, -HOUR, -40.0, -10.0, 10.0, HOUR, DAY])
def test_a_clock_that_is_set_delays_one_request_by_an_interval_at_most(
    start_beat: Start, step: float
) -> None:
    beat = start_beat(interval=15.0)
    beat.run(60)
    beat.clock.set_by(step)
    beat.run(5 * 60)
    assert beat.longest_gap() <= 2 * 15.0 + 1
    assert 360 / 15 - 2 <= len(beat.sent) <= 360 / 15 + 2, "nor does a jump ahead send what was left out"


def test_a_clock_that_is_set_back_again_and_again_stops_nothing(start_beat: Start) -> None:
    beat = start_beat(interval=15.0)
    for _ in range(20):
        beat.run(40)
        beat.clock.set_by(-HOUR)
    assert beat.longest_gap() <= 2 * 15.0 + 1


@pytest.mark.parametrize("step", [-HOUR, -DAY])
def test_last_runs_on_disk_from_before_the_clock_was_set_back_stop_nothing(
    start_beat: Start, step: float
) -> None:
    beat = start_beat(interval=15.0)
    beat.run(60)
    beat.clock.set_by(step)
    beat.restart()
    beat.run(60)
    assert beat.longest_gap() <= 2 * 15.0 + 1


def test_after_an_hour_without_beat_one_request_is_sent_and_not_two_hundred(start_beat: Start) -> None:
    beat = start_beat(interval=15.0)
    beat.run(60)
    before = len(beat.sent)
    beat.scheduler.close()
    beat.clock.go_on(HOUR)
    beat.restart()
    beat.run(10)
    assert len(beat.sent) == before + 1


@pytest.mark.parametrize("timezone", ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize(
    "before",
    [
        # Half an hour before clocks change: Berlin back and ahead, New York back and ahead.
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
        datetime(2026, 3, 29, 0, 30, tzinfo=UTC),
        datetime(2026, 11, 1, 5, 30, tzinfo=UTC),
        datetime(2026, 3, 8, 6, 30, tzinfo=UTC),
    ],
)
def test_daylight_saving_changes_nothing(start_beat: Start, timezone: str, before: datetime) -> None:
    beat = start_beat(interval=60.0, wall=before, timezone=timezone)
    beat.run(HOUR)
    assert beat.longest_gap() == pytest.approx(60.0, abs=0.1)
    assert 58 <= len(beat.sent) <= 60
