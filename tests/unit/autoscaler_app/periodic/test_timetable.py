"""When beat will send what, read from its schedule."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery
from celery.schedules import crontab

from autoscaler_app.periodic.timetable import MOST, appointments


@pytest.fixture
def app() -> Iterator[Celery]:
    """An app in a zone with daylight saving."""
    app = Celery("beating", set_as_current=False)
    app.conf.timezone = "Europe/Berlin"
    yield app
    app.close()


def times(entries: dict[str, Any], start: str, horizon: timedelta) -> list[str]:
    found = appointments(entries, datetime.fromisoformat(start), horizon)
    return [f"{each.entry} {each.at:%d %H:%M}" for each in found]


def test_entries_by_the_clock_are_foreseen_in_order(app: Celery) -> None:
    entries = {
        "hourly": {"task": "t", "schedule": crontab(minute=30, app=app), "options": {"queue": "big"}},
        "often": {"task": "u", "schedule": crontab(minute="*/20", app=app)},
    }
    assert times(entries, "2026-05-04T12:05:00Z", timedelta(hours=1)) == [
        "often 04 12:20",
        "hourly 04 12:30",
        "often 04 12:40",
        "often 04 13:00",
    ]
    hourly = appointments(entries, datetime(2026, 5, 4, 12, 25, tzinfo=UTC), timedelta(minutes=10))[0]
    assert (hourly.task, dict(hourly.options)) == ("t", {"queue": "big"})


def test_daylight_saving_moves_them_as_the_wall_clock_does(app: Celery) -> None:
    nightly = {"nightly": {"task": "t", "schedule": crontab(hour=5, minute=0, app=app)}}

    assert times(nightly, "2026-03-27T12:00:00Z", timedelta(days=3)) == [
        "nightly 28 04:00",
        "nightly 29 03:00",
        "nightly 30 03:00",
    ]
    assert times(nightly, "2026-10-23T12:00:00Z", timedelta(days=3)) == [
        "nightly 24 03:00",
        "nightly 25 04:00",
        "nightly 26 04:00",
    ]


def test_plain_intervals_have_no_times_to_foresee() -> None:
    entries = {"tick": {"task": "t", "schedule": 15.0}, "tock": {"task": "t", "schedule": timedelta(hours=1)}}
    assert appointments(entries, datetime(2026, 5, 4, tzinfo=UTC), timedelta(days=1)) == ()


def test_the_schedule_that_was_read_is_left_as_it_was(app: Celery) -> None:
    schedule = crontab(minute=30, app=app)
    before = schedule.nowfun
    appointments(
        {"e": {"task": "t", "schedule": schedule}}, datetime(2026, 5, 4, tzinfo=UTC), timedelta(hours=1)
    )
    assert schedule.nowfun is before


def test_an_entry_of_every_minute_over_a_year_is_cut_off(app: Celery) -> None:
    entries = {"e": {"task": "t", "schedule": crontab(app=app)}}
    assert len(appointments(entries, datetime(2026, 5, 4, tzinfo=UTC), timedelta(days=365))) == MOST
