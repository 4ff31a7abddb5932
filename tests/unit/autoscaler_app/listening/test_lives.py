"""A worker that is started again has nothing of its earlier life; the end of a run ends that run alone."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from autoscaler_app.listening.activity import Activity, HeldTask, RunningTask
from tests.unit.autoscaler_app.listening.events import NOW, at, report, said, task


def ids(tasks: Iterable[RunningTask | HeldTask]) -> list[str]:
    return sorted(task.id for task in tasks)


def test_what_an_earlier_life_ran_and_held_is_not_in_the_next(activity: Activity) -> None:
    activity.apply(report(running=[said("r")], held=[said("h")], started=1.0), NOW)
    started_again = {**task("started", "new", when=5), "pid": 2}
    activity.apply(started_again, at(5))
    (host,) = activity.hosts()
    assert (ids(host.running), ids(host.held)) == (["new"], [])
    assert host.told is None, "what it holds now is unknown until it tells"
    activity.apply(report(pid=2, started=2.0, when=6, running=[said("new", started=5)]), at(6))
    (host,) = activity.hosts()
    assert (ids(host.running), ids(host.held)) == (["new"], [])
    assert host.told == at(6)


def test_what_an_earlier_life_held_for_later_is_in_its_queue_again(activity: Activity) -> None:
    eta = (NOW + timedelta(hours=1)).isoformat()
    activity.apply(task("sent", "x", queue="q", eta=eta), NOW)
    activity.apply(task("received", "x", eta=eta), at(1))
    assert [coming.held_by for coming in activity.coming()] == ["celery@n1"]
    activity.apply({**task("received", "other", when=2), "pid": 2}, at(2))
    assert [coming.held_by for coming in activity.coming()] == [""]


def test_events_without_a_process_id_and_of_the_same_one_begin_no_new_life(activity: Activity) -> None:
    activity.apply(report(running=[said("r")]), NOW)
    for event in (task("received", "a", when=1), {**task("received", "b", when=2), "pid": None}):
        activity.apply(event, at(3))
    (host,) = activity.hosts()
    assert (ids(host.running), ids(host.held)) == (["r"], ["a", "b"])
    assert host.told == NOW


def test_an_account_of_an_earlier_life_says_nothing_of_this_one(activity: Activity) -> None:
    activity.apply(report(started=2.0, pid=2, running=[said("now")]), NOW)
    activity.apply(report(started=1.0, pid=1, seq=99, fenced=True), at(1))
    (host,) = activity.hosts()
    assert ids(host.running) == ["now"]
    assert not host.fenced
    assert activity.counters().stale == 1


def test_an_old_end_ends_no_newer_run(activity: Activity) -> None:
    """A task that was retried or given back runs again under its id; the end of the first run comes late."""
    activity.apply(report(), NOW)
    activity.apply(task("started", "x", when=1), at(1))
    activity.apply(task("started", "x", when=10), at(10))
    activity.apply(report(when=11, seq=2, running=[said("x", started=10)]), at(11))
    activity.apply(task("succeeded", "x", when=5, runtime=4.0), at(12))
    (host,) = activity.hosts()
    assert ids(host.running) == ["x"]
    activity.apply(task("succeeded", "x", when=20, runtime=10.0), at(20))
    (host,) = activity.hosts()
    assert ids(host.running) == []


def test_a_note_of_an_earlier_life_does_not_count_for_this_one(activity: Activity) -> None:
    activity.apply(report(pid=2, started=2.0), NOW)
    assert not activity.forget_worker("celery@n1", 1)
    assert activity.host("n1") is not None
    assert activity.forget_worker("celery@n1", 2)
    assert activity.host("n1") is None
    assert activity.forget_worker("celery@n1", 2), "the note came twice"
