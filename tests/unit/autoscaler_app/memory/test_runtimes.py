"""Run times by queue: recent ones count more, memory is bounded, and they survive a restart."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler_app.memory import runtimes as module
from autoscaler_app.memory.runtimes import HALF_LIFE, Runtimes

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def test_nothing_is_known_of_a_queue_that_was_never_seen() -> None:
    assert Runtimes().mean("q") is None


def test_the_mean_is_exact() -> None:
    runtimes = Runtimes()
    for seconds in range(1, 101):
        runtimes.add("q", seconds, NOW)
    assert runtimes.mean("q") == 50.5


def test_several_runs_that_are_told_of_at_once_count_as_so_many() -> None:
    runtimes = Runtimes()
    runtimes.add("q", 10, NOW, count=3)
    runtimes.add("q", 50, NOW)
    assert runtimes.mean("q") == 20


def test_a_new_release_is_believed_within_a_day() -> None:
    runtimes = Runtimes()
    for _ in range(100):
        runtimes.add("q", 600, NOW)
    for _ in range(100):
        runtimes.add("q", 10, NOW + timedelta(days=1))

    mean = runtimes.mean("q")
    assert mean is not None
    assert mean < 60
    assert mean == pytest.approx((100 * 10 + 100 / 2**4 * 600) / (100 + 100 / 2**4))


def test_a_clock_that_was_set_back_forgets_nothing() -> None:
    runtimes = Runtimes()
    runtimes.add("q", 10, NOW)
    runtimes.add("q", 10, NOW - timedelta(days=900))
    assert runtimes.mean("q") == 10


def test_a_run_that_is_told_of_late_counts_as_much_as_it_is_worth_by_then() -> None:
    runtimes = Runtimes()
    runtimes.add("q", 10, NOW)
    runtimes.add("q", 40, NOW - HALF_LIFE)

    assert runtimes.mean("q") == pytest.approx((10 + 40 / 2) / 1.5)


@pytest.mark.parametrize("seconds", [-1, math.nan, math.inf])
def test_a_run_time_that_is_none_is_an_error_that_names_it(seconds: float) -> None:
    with pytest.raises(ValueError, match="queue 'q'"):
        Runtimes().add("q", seconds, NOW)


@given(st.lists(st.floats(0, 1e7), min_size=1, max_size=50))
def test_it_is_the_same_after_a_restart(seconds: list[float]) -> None:
    runtimes = Runtimes()
    for number, each in enumerate(seconds):
        runtimes.add("q", each, NOW + timedelta(minutes=number))

    again = Runtimes.from_json(json.loads(json.dumps(runtimes.to_json())))

    assert again.to_json() == runtimes.to_json()
    assert again.mean("q") == runtimes.mean("q")


def test_its_size_does_not_grow_with_the_number_of_runs_or_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_QUEUES", 3)
    runtimes = Runtimes()
    for number in range(5):
        for run in range(300):
            runtimes.add(f"q{number}", run * 37 % 1000, NOW + timedelta(seconds=number))

    written = runtimes.to_json()
    assert list(written) == ["q2", "q3", "q4"], "the queues that were quiet for longest go first"
    assert len(json.dumps(written)) < 500


@pytest.mark.parametrize(
    "found",
    [
        {"q": None},
        {"q": {}},
        {"q": {"at": "noon", "seconds": 1, "runs": 1}},
        {"q": {"at": "2026-05-04T12:00:00Z", "seconds": "x", "runs": 1}},
        {"q": {"at": "2026-05-04T12:00:00Z", "seconds": -1, "runs": 1}},
        {"q": {"at": "2026-05-04T12:00:00Z", "seconds": 1, "runs": 0}},
        {"q": {"at": "2026-05-04T12:00:00Z", "seconds": 1, "runs": float("nan")}},
        {"q": {"at": "2026-05-04T12:00:00Z", "seconds": 1, "cells": {"4": 1}}},
    ],
)
def test_what_cannot_be_read_is_learnt_again(found: dict[str, Any]) -> None:
    assert Runtimes.from_json(found).to_json() == {}
