"""What is said of workers that send no events, and of what the listener heard."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery

from autoscaler_app.cli.show import heard
from autoscaler_app.listening.activity import Activity
from autoscaler_app.listening.listener import Listener
from autoscaler_app.passes.observe.hearing import hearing_of, without_events
from autoscaler_app.passes.report import Hearing

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
PATIENCE = timedelta(seconds=45)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def account(nodename: str = "celery@n1", **more: Any) -> dict[str, Any]:
    return {"nodename": nodename, "pid": 7, "seq": 1, "started": 1.0, "running": [], **more}


def event(kind: str, nodename: str = "celery@n1", **more: Any) -> dict[str, Any]:
    return {"type": kind, "hostname": nodename, "pid": 7, "timestamp": NOW.timestamp(), **more}


@pytest.fixture
def activity() -> Activity:
    return Activity()


def test_a_worker_that_only_answers_is_named_once_it_had_its_time(activity: Activity) -> None:
    activity.merge(account(), NOW)
    assert without_events(activity.hosts(), after(40), PATIENCE) == ()
    activity.merge(account(seq=2), after(50))
    (warning,) = without_events(activity.hosts(), after(60), PATIENCE)
    assert "no events from celery@n1" in warning
    assert "asked instead" in warning


def test_one_that_does_not_answer_either_is_unknown_and_kept(activity: Activity) -> None:
    activity.merge(account(), NOW)
    (warning,) = without_events(activity.hosts(), after(100), PATIENCE)
    assert "no answer" in warning
    assert "unknown, the node is kept" in warning


@pytest.mark.parametrize(
    "said", [event("worker-heartbeat"), event("worker-resources", seq=2, started=1.0), event("worker-online")]
)
def test_one_event_of_any_kind_is_enough(activity: Activity, said: dict[str, Any]) -> None:
    activity.merge(account(), NOW)
    activity.apply(said, after(1))
    assert without_events(activity.hosts(), after(100), PATIENCE) == ()


def test_a_worker_that_was_started_anew_has_its_time_again(activity: Activity) -> None:
    activity.apply(event("worker-heartbeat"), NOW)
    activity.merge(account(pid=8, started=2.0), after(100))
    assert without_events(activity.hosts(), after(120), PATIENCE) == ()
    assert without_events(activity.hosts(), after(200), PATIENCE) != ()


def test_of_many_a_few_are_named(activity: Activity) -> None:
    for number in range(12):
        activity.merge(account(f"celery@n{number:02}"), NOW)
    (warning,) = without_events(activity.hosts(), after(100), PATIENCE)
    assert "celery@n04 and 7 more" in warning


def test_what_was_heard_and_lost_is_counted(activity: Activity) -> None:
    activity.apply(event("worker-heartbeat"), NOW)
    activity.apply({"type": 3}, NOW)
    hearing = hearing_of(activity, Listener(Celery(broker="memory://"), activity))
    assert hearing is not None
    assert (hearing.connected, hearing.lag_seconds, hearing.connections) == (False, None, 0)
    assert (hearing.events, hearing.rejected, hearing.workers) == (2, 1, 1)
    assert hearing_of(activity, None) is None


def test_the_status_line_says_whether_it_listens_and_what_was_lost() -> None:
    fields: dict[str, Any] = dict.fromkeys(
        ("connections", "workers", "coming", "events", "rejected", "dropped", "evicted", "gaps", "stale"), 0
    )
    fine = Hearing(**{**fields, "connected": True, "lag_seconds": 0.0314, "events": 9, "workers": 2})
    assert heard(fine) == "listening, 0.03 s behind: 9 events of 2 workers, none lost"
    deaf = Hearing(**{**fields, "connected": False, "lag_seconds": None, "dropped": 4, "gaps": 2})
    assert heard(deaf).startswith("NOT LISTENING")
    assert "4 without room, 2 accounts missed" in heard(deaf)
