"""Timeouts by nodearray, and the windows of a timetable."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scalelib.policy import Timeout
from scalelib.warm import read_warm_pool


def test_timeouts_by_nodearray() -> None:
    timeout = Timeout(default=timedelta(seconds=5), nodearrays={"a": timedelta(0)})
    assert (timeout("a"), timeout("b")) == (timedelta(0), timedelta(seconds=5))


@pytest.mark.parametrize(
    ("now", "minimum"),
    [
        ("2026-11-23T07:59", 1),
        ("2026-11-23T08:00", 5),
        ("2026-11-23T23:59", 5),
        ("2026-11-24T00:00", 1),
        ("2026-11-27T21:59", 1),
        ("2026-11-27T22:00", 9),
        ("2026-11-28T03:59", 9),
        ("2026-11-28T04:00", 1),
        ("2026-11-28T22:00", 1),
    ],
)
def test_windows_of_the_timetable(now: str, minimum: int) -> None:
    """Mondays from 8 to the end of the day, and Friday nights from 22 to 4."""
    pool = read_warm_pool(
        {
            "minimum": 1,
            "timetable": [
                {"minimum": 5, "days": "mon", "from": "08:00"},
                {"minimum": 9, "days": ["fri"], "from": "22:00", "until": "04:00"},
            ],
        },
        "warm_pool",
    )
    assert pool.minimum_at(datetime.fromisoformat(now).replace(tzinfo=UTC)) == minimum


def test_days_may_go_round_the_week(make_world: Callable[..., Any]) -> None:
    pool = read_warm_pool({"timetable": [{"minimum": 1, "days": "sat-mon"}]}, "warm_pool")
    assert pool.timetable[0].days == {5, 6, 0}
