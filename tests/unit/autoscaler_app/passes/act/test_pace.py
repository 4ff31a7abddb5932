"""However many nodes there are, they do not speak more often than fifty times a second in all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler_app.listening.activity import Activity, HostView
from autoscaler_app.passes.act.pace import REPORTS_A_SECOND, out_of_step, pace_for

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
SLOWEST = 22.5
"""Half of what `told_within` is by default."""


def hosts(count: int, pace: float = 0.0, **facts: Any) -> tuple[HostView, ...]:
    activity = Activity()
    for number in range(count):
        said = {"pid": 1, "timestamp": NOW.timestamp(), "seq": 1, "started": 1.0, "pace": pace, **facts}
        activity.apply({"type": "worker-resources", "hostname": f"celery@n{number}", **said}, NOW)
    return activity.hosts()


def wrong(views: tuple[HostView, ...], now: datetime = NOW) -> tuple[float, int]:
    pace, names = out_of_step(views, heard_since=now - timedelta(seconds=45), slowest=SLOWEST)
    return pace, len(names)


@pytest.mark.parametrize(
    ("workers", "pace"), [(0, 0), (1, 0), (50, 0), (51, 2), (100, 2), (101, 4), (800, 16), (1000, 22.5)]
)
def test_a_few_nodes_speak_as_they_like_and_many_in_turn(workers: int, pace: float) -> None:
    assert pace_for(workers, SLOWEST) == pace


@given(st.integers(1, 1125))
def test_up_to_1125_nodes_never_exceed_the_sum(workers: int) -> None:
    assert workers / max(1.0, pace_for(workers, SLOWEST)) <= REPORTS_A_SECOND


def test_nodes_are_told_once() -> None:
    assert wrong(hosts(200)) == (4, 200)
    assert wrong(hosts(200, pace=4)) == (4, 0)
    assert wrong(hosts(20)) == (0, 0)


def test_nodes_of_a_cluster_about_as_large_as_a_step_are_not_told_to_and_fro() -> None:
    assert wrong(hosts(200, pace=8)) == (4, 0)
    assert wrong(hosts(100, pace=8)) == (2, 100)
    assert wrong(hosts(50, pace=2)) == (0, 0)
    assert wrong(hosts(20, pace=16)) == (0, 20)


def test_nodes_that_are_gone_are_neither_counted_nor_told() -> None:
    assert wrong(hosts(200), NOW + timedelta(minutes=5)) == (0, 0)


def test_nodes_that_said_goodbye_are_neither_counted_nor_told() -> None:
    activity = Activity()
    for number in range(60):
        name = f"celery@n{number}"
        said = {"pid": 1, "timestamp": NOW.timestamp(), "seq": 1, "started": 1.0}
        activity.apply({"type": "worker-resources", "hostname": name, **said}, NOW)
        if number < 20:
            activity.apply({"type": "worker-offline", "hostname": name, "pid": 1, "timestamp": 0.0}, NOW)
    assert wrong(activity.hosts()) == (0, 0)
