"""Events and accounts come late, twice, in any order, and over two ways; the belief is the same."""

from __future__ import annotations

from collections.abc import Iterable

from autoscaler_app.listening.activity import Activity, HeldTask, HostView, RunningTask
from tests.unit.autoscaler_app.listening.events import EPOCH, NOW, at, report, said, task


def ids(tasks: Iterable[RunningTask | HeldTask]) -> list[str]:
    return sorted(each.id for each in tasks)


def only(activity: Activity) -> HostView:
    (host,) = activity.hosts()
    return host


def test_a_sign_of_life_that_is_taken_later_is_no_older_one(activity: Activity) -> None:
    activity.apply(report(), at(10))
    activity.merge({**report(seq=2), "nodename": "celery@n1"}, at(5))
    (worker,) = only(activity).workers
    assert (worker.heard, worker.told) == (at(10), at(10))


def test_a_task_that_is_received_after_it_was_started_is_not_held(activity: Activity) -> None:
    activity.apply(report(), NOW)
    activity.apply(task("started", "x", when=2), at(2))
    activity.apply(task("received", "x", when=1), at(2))
    assert (ids(only(activity).running), ids(only(activity).held)) == (["x"], [])


def test_what_is_known_of_a_held_task_is_known_of_it_when_it_runs(activity: Activity) -> None:
    """Its sending was not heard: its queue stands in the account alone."""
    activity.apply(report(held=[{"id": "x", "name": "proj.t", "queue": "big"}]), NOW)
    activity.apply(task("started", "x", when=1), at(1))
    (running,) = only(activity).running
    assert (running.name, running.queue) == ("proj.t", "big")


def test_a_task_that_is_retried_is_still_known_by_its_queue(activity: Activity) -> None:
    activity.apply(task("sent", "x", queue="q", name="t"), NOW)
    for when, kind in ((1, "started"), (2, "retried"), (3, "started")):
        activity.apply(task(kind, "x", when=when), at(when))
    (running,) = only(activity).running
    assert (running.name, running.queue) == ("t", "q")


def test_one_that_could_not_say_what_it_has_is_believed_once_it_does(activity: Activity) -> None:
    activity.cannot_say("celery@n1")
    activity.apply(task("started", "x"), NOW)
    assert activity.hosts() == ()
    activity.apply(report(), at(1))
    activity.apply(task("started", "x", when=2), at(2))
    assert ids(only(activity).running) == ["x"]


def test_one_that_has_said_what_it_has_only_failed_to_answer_this_time(activity: Activity) -> None:
    activity.apply(report(running=[said("x")]), NOW)
    activity.cannot_say("celery@n1")
    assert ids(only(activity).running) == ["x"]


def test_what_began_after_an_account_was_written_is_not_taken_back_by_it(activity: Activity) -> None:
    activity.apply(report(running=[said("a")]), NOW)
    activity.apply(task("started", "b", when=10), at(10))
    activity.apply(report(running=[said("a")], when=9, seq=2), at(11))
    assert ids(only(activity).running) == ["a", "b"]
    activity.apply(report(running=[said("a")], when=12, seq=3), at(12))
    assert ids(only(activity).running) == ["a"]


def test_an_answer_may_be_as_old_as_its_way_takes(activity: Activity) -> None:
    """It does not say when it was written."""
    answer = {**report(running=[said("a")]), "nodename": "celery@n1"}
    del answer["timestamp"]
    activity.apply(report(running=[said("a")]), NOW)
    activity.apply(task("started", "b", when=10), at(10))
    activity.merge({**answer, "seq": 2}, at(14.9))
    assert ids(only(activity).running) == ["a", "b"]
    activity.merge({**answer, "seq": 3}, at(15.1))
    assert ids(only(activity).running) == ["a"]


def test_one_that_said_goodbye_and_tells_again_is_there(activity: Activity) -> None:
    activity.apply(report(), NOW)
    activity.apply({"type": "worker-offline", "hostname": "celery@n1", "timestamp": EPOCH + 1}, at(1))
    assert only(activity).offline
    activity.apply(report(seq=2, when=2), at(2))
    assert not only(activity).offline


def test_run_times_of_one_that_sends_the_events_of_its_tasks_are_taken_from_those_alone(
    activity: Activity,
) -> None:
    """Its own count of what ended would count them again."""
    activity.apply(report(ended={}), NOW)
    activity.apply(task("sent", "x", queue="q", name="t"), NOW)
    activity.apply(task("started", "x", when=1), at(1))
    activity.apply(task("succeeded", "x", when=4, runtime=3.0), at(4))
    activity.apply(report(seq=2, when=5, ended={"q": (1, 3.0)}), at(5))
    assert [(run.queue, run.seconds, run.count) for run in activity.take_runs()] == [("q", 3.0, 1)]


def test_a_host_says_goodbye_when_every_worker_of_it_has(activity: Activity) -> None:
    for name in ("a@n1", "b@n1"):
        activity.apply(report(name), NOW)
    for name, gone in (("a@n1", False), ("b@n1", True)):
        activity.apply({"type": "worker-offline", "hostname": name, "timestamp": EPOCH + 1}, at(1))
        assert only(activity).offline is gone
