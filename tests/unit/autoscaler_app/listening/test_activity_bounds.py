"""What is believed stays bounded and sane, whatever is said."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler_app.listening import activity as package
from autoscaler_app.listening.activity import Activity, belief, lives
from tests.unit.autoscaler_app.listening.events import NOW, at, report, said, task


def test_memory_is_bounded_and_what_was_not_kept_is_counted(
    activity: Activity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lives, "MAX_WORKERS", 3)
    monkeypatch.setattr(belief, "MAX_SENT", 5)
    monkeypatch.setattr(belief, "MAX_RUNS", 2)
    monkeypatch.setattr(package.coming, "MAX_COMING", 4)
    monkeypatch.setattr(package.worker, "MAX_TASKS", 6)
    for number in range(10):
        activity.apply(
            {"type": "task-sent", "uuid": f"s{number}", "queue": "q", "eta": at(60).isoformat()}, NOW
        )
        activity.apply(report(f"w@n{number}"), at(number))
        activity.apply(task("started", f"t{number}", "w@busy"), at(50))
        activity.apply(task("received", f"r{number}", "w@busy"), at(50))
    for number in range(10):
        activity.apply(task("succeeded", f"s{number}", "w@busy", runtime=1.0, when=60), at(60))

    counters = activity.counters()
    assert counters.workers == 3
    assert {host.hostname for host in activity.hosts()} == {"n8", "n9", "busy"}, "the oldest were forgotten"
    busy = activity.host("busy")
    assert (len(busy.running), len(busy.held)) == (6, 6)
    assert counters.evicted == 5
    assert len(activity.take_runs()) == 2
    dropped_workers, dropped_coming, dropped_tasks, dropped_runs = 8, 6, 8, 3
    assert counters.dropped == dropped_workers + dropped_coming + dropped_tasks + dropped_runs


NONSENSE = [
    {},
    {"type": None},
    {"type": 7, "hostname": "celery@n1"},
    {"type": "worker-resources"},
    {"type": "worker-resources", "hostname": 5},
    {"type": "worker-resources", "hostname": "celery@n1", "running": "a"},
    {"type": "worker-resources", "hostname": "celery@n1", "running": [{"id": "a", "started": 1e300}]},
    {"type": "worker-resources", "hostname": "celery@n1", "machine": {"addresses": ["10.0.0.1"] * 65}},
    {"type": "task-started", "hostname": "celery@n1"},
    {"type": "task-started", "hostname": "celery@n1", "uuid": ["a"], "timestamp": 1.0},
    {"type": "task-started", "hostname": "celery@n1", "uuid": "a", "timestamp": "noon"},
    {"type": "task-started", "hostname": "celery@n1", "uuid": "a", "timestamp": float("nan")},
    {"type": "task-sent", "uuid": "a", "eta": "later"},
]


@pytest.mark.parametrize("event", NONSENSE, ids=repr)
def test_what_cannot_be_understood_is_counted_and_changes_nothing(
    activity: Activity, event: dict[str, Any]
) -> None:
    activity.apply(report(running=[said("a")], queues=["q"]), at(0))
    before = activity.host("n1")

    assert activity.apply(event, at(0)) == ()

    assert activity.counters().rejected == 1
    after = activity.host("n1")
    assert (after.running, after.held, after.queues) == (before.running, before.held, before.queues)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KINDS = ["worker-resources", "worker-heartbeat", "worker-offline", "task-sent", "task-received"]
KINDS += ["task-started", "task-succeeded", "task-retried", "custom-event"]
KEYS = ["type", "hostname", "nodename", "uuid", "timestamp", "pid", "running", "held", "queues", "eta", "seq"]


@given(
    st.lists(
        st.dictionaries(st.sampled_from(KEYS), json_values).flatmap(
            lambda facts: st.sampled_from(KINDS).map(
                lambda kind: {"hostname": "celery@n1", "type": kind, **facts}
            )
        ),
        max_size=8,
    )
)
def test_no_message_whatever_is_in_it_makes_it_fail(events: list[dict[str, Any]]) -> None:
    activity = Activity()
    for event in events:
        activity.apply(event, NOW)
        activity.merge(event, NOW)
    activity.hosts()
    activity.coming()
    assert activity.counters().events == len(events)


def test_it_may_be_read_while_it_is_written(activity: Activity) -> None:
    done = threading.Event()
    failures: list[BaseException] = []

    def read() -> None:
        try:
            while not done.is_set():
                activity.hosts()
                activity.coming()
                activity.counters()
        except RuntimeError as error:  # what Python says of a dictionary that changes under an iteration
            failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(2000):
        activity.apply(report(f"w@n{number % 50}", seq=number, running=[said(str(number))]), NOW)
        activity.apply({"type": "task-sent", "uuid": str(number), "eta": at(60).isoformat()}, NOW)
        if number % 10 == 0:
            activity.forget(f"n{number % 50}")
    done.set()
    reader.join(10)
    assert failures == []
    assert activity.counters().events == 4000
