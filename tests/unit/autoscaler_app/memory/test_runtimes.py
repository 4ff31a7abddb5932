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
from autoscaler_app.memory.runtimes import HALF_LIFE, STEP, Runtimes

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def test_nothing_is_known_of_a_queue_that_was_never_seen() -> None:
    assert Runtimes().of("q") is None
    assert Runtimes().mean("q") is None


def test_the_mean_is_exact_and_the_percentiles_are_near() -> None:
    runtimes = Runtimes()
    for seconds in range(1, 101):
        runtimes.add("q", seconds, NOW)

    known = runtimes.of("q")
    assert known is not None
    assert known.count == pytest.approx(100)
    assert known.mean == timedelta(seconds=50.5)
    assert known.p50.total_seconds() == pytest.approx(50, rel=STEP - 1)
    assert known.p90.total_seconds() == pytest.approx(90, rel=STEP - 1)
    assert runtimes.mean("q") == 50.5


def test_several_runs_that_are_told_of_at_once_count_as_so_many() -> None:
    runtimes = Runtimes()
    runtimes.add("q", 10, NOW, count=3)
    runtimes.add("q", 50, NOW)

    known = runtimes.of("q")
    assert known is not None
    assert (known.count, known.mean) == (pytest.approx(4), timedelta(seconds=20))


def test_a_new_release_is_believed_within_a_day() -> None:
    runtimes = Runtimes()
    for _ in range(100):
        runtimes.add("q", 600, NOW)
    for _ in range(100):
        runtimes.add("q", 10, NOW + timedelta(days=1))

    mean = runtimes.mean("q")
    assert mean is not None
    assert mean < 60
    known = runtimes.of("q")
    assert known is not None
    assert known.count == pytest.approx(100 + 100 / 2**4)


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
    assert again.of("q") == runtimes.of("q")


@given(st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=200), st.sampled_from(["p50", "p90"]))
def test_percentiles_are_true_to_one_step(seconds: list[float], which: str) -> None:
    runtimes = Runtimes()
    for each in seconds:
        runtimes.add("q", each, NOW)
    share = {"p50": 0.5, "p90": 0.9}[which]
    exact = sorted(seconds)[max(0, math.ceil(share * len(seconds) - 1e-9) - 1)]

    known = runtimes.of("q")

    assert known is not None
    found = getattr(known, which).total_seconds()
    assert exact / STEP - 1e-5 <= found <= exact * STEP + 1e-5


def test_its_size_does_not_grow_with_the_number_of_runs_or_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_QUEUES", 3)
    runtimes = Runtimes()
    for number in range(5):
        for run in range(300):
            runtimes.add(f"q{number}", run * 37 % 1000, NOW + timedelta(seconds=number))

    written = runtimes.to_json()
    assert list(written) == ["q2", "q3", "q4"], "the queues that were quiet for longest go first"
    assert all(len(entry["cells"]) <= module.CELLS for entry in written.values())
    assert len(json.dumps(written)) < 20_000


@pytest.mark.parametrize(
    "found",
    [
        {"q": None},
        {"q": {}},
        {"q": {"at": "noon", "seconds": 1, "cells": {}}},
        {"q": {"at": "2026-05-04T12:00:00Z", "seconds": "x", "cells": {}}},
        {"q": {"at": "2026-05-04T12:00:00Z", "seconds": 1, "cells": {"-4": 1}}},
        {"q": {"at": "2026-05-04T12:00:00Z", "seconds": 1, "cells": {"4": float("nan")}}},
        {"q": {"at": "2026-05-04T12:00:00Z", "seconds": 1, "cells": [1]}},
    ],
)
def test_what_cannot_be_read_is_learnt_again(found: dict[str, Any]) -> None:
    assert Runtimes.from_json(found).to_json() == {}
