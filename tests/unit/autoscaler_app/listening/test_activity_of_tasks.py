"""What is believed of tasks, from the events that tell of each: those that run, and those that will."""

from __future__ import annotations

import pytest

from autoscaler_app.listening.activity import Activity, HeldTask, Run, RunningTask, Sent, coming
from autoscaler_app.listening.activity.coming import THE_BROKER
from tests.unit.autoscaler_app.listening.events import NOW, at, ids, report, said, task


def test_task_events_refine_the_belief_between_reports(activity: Activity) -> None:
    activity.apply(report(), at(0))
    activity.apply(
        {"type": "task-sent", "uuid": "a", "name": "t", "queue": "big", "hostname": "gen@x"}, at(1)
    )
    activity.apply(task("received", "a", when=1), at(1))
    assert activity.host("n1").held == (HeldTask(id="a", name="t", queue="big"),)

    activity.apply(task("started", "a", when=2), at(2))
    host = activity.host("n1")
    assert (host.held, host.running) == (
        (),
        (RunningTask(id="a", name="t", queue="big", started=at(2), nodename="celery@n1"),),
    )

    activity.apply(task("succeeded", "a", when=5, runtime=2.5), at(5))
    assert ids(activity) == set()
    (run,) = activity.take_runs()
    assert (run.queue, run.seconds, run.at) == ("big", 2.5, at(5))
    assert activity.take_runs() == ()


@pytest.mark.parametrize("end", ["succeeded", "failed", "revoked", "rejected", "retried", "cancelled"])
def test_every_way_a_task_can_end_ends_it(activity: Activity, end: str) -> None:
    activity.apply(task("received", "a"), at(0))
    activity.apply(task("started", "b", when=1), at(1))

    activity.apply(task(end, "a", when=2), at(2))
    activity.apply(task(end, "b", when=2), at(2))

    host = activity.host("n1")
    assert (host.held, host.running) == ((), ())


def test_a_retry_runs_again_under_its_id(activity: Activity) -> None:
    activity.apply(task("started", "a", when=1), at(1))
    activity.apply(task("retried", "a", when=2), at(2))
    activity.apply(task("received", "a", when=3), at(3))
    activity.apply(task("started", "a", when=4), at(4))

    assert ids(activity) == {"a"}


def test_events_of_one_task_may_come_out_of_order(activity: Activity) -> None:
    activity.apply(task("succeeded", "a", when=3, runtime=1.0), at(3))
    activity.apply(task("started", "a", when=2), at(3))
    activity.apply(task("received", "a", when=1), at(3))

    host = activity.host("n1")
    assert (host.held, host.running) == ((), ())


def test_an_answer_does_not_revive_what_ended_after_it_was_written(activity: Activity) -> None:
    activity.apply(task("started", "a", when=1), at(1))
    activity.apply(task("succeeded", "a", when=2, runtime=1.0), at(2))
    activity.merge({"nodename": "celery@n1", "pid": 1, "running": [said("a", started=1)]}, at(3))
    assert ids(activity) == set()

    activity.merge({"nodename": "celery@n1", "pid": 1, "running": [said("a", started=2.5)]}, at(4))
    assert ids(activity) == {"a"}, "it was redelivered and runs again"


def test_an_answer_does_not_end_what_may_have_started_after_it_was_written(activity: Activity) -> None:
    activity.apply(task("started", "a", when=1), at(1))
    activity.merge({"nodename": "celery@n1", "pid": 1}, at(2))
    assert ids(activity) == {"a"}

    activity.merge({"nodename": "celery@n1", "pid": 1}, at(60))
    assert ids(activity) == set(), "by now it would be named, if it still ran: its end was lost"


def test_a_report_ends_what_started_before_it_and_is_not_in_it(activity: Activity) -> None:
    """Its end was lost."""
    activity.apply(task("started", "old", when=1), at(1))
    activity.apply(task("started", "new", when=3), at(3))
    activity.apply(report(when=2), at(3))

    assert ids(activity) == {"new"}


def test_the_queue_of_a_task_is_learnt_from_the_report_if_nobody_said_it_before(activity: Activity) -> None:
    activity.apply(task("started", "a", when=1), at(1))
    assert activity.host("n1").running[0].queue == ""

    activity.apply(report(when=2, running=[said("a", "big", started=1)]), at(2))

    assert activity.host("n1").running[0].queue == "big"


def test_without_task_events_run_times_are_told_by_the_reports(activity: Activity) -> None:
    """Also those of tasks so short that no report ever named them."""
    activity.apply(report(when=1, ended={"q": [3, 9.0]}), at(1))
    assert activity.take_runs() == (), "what ended before we listened may have been counted before"

    activity.apply(report(seq=2, when=4.5, ended={"q": [5, 17.0], "new": [1, 2.0]}), at(5))
    activity.apply(report(seq=3, when=6, ended={"q": [5, 17.0], "new": [1, 2.0]}), at(6))
    activity.apply(report(seq=4, when=7, ended={"q": [1, 0.5]}), at(7))

    assert activity.take_runs() == (
        Run(queue="q", seconds=4.0, at=at(5), count=2),
        Run(queue="new", seconds=2.0, at=at(5), count=1),
        Run(queue="q", seconds=0.5, at=at(7), count=1),
    )


def test_another_life_of_a_worker_counts_its_runs_anew(activity: Activity) -> None:
    activity.apply(report(when=1, ended={"q": [3, 9.0]}), at(1))
    activity.apply(report(when=5, started=4.0, ended={"q": [4, 10.0]}), at(5))
    activity.apply(report(seq=2, when=6, started=4.0, ended={"q": [5, 12.0]}), at(6))

    assert activity.take_runs() == (Run(queue="q", seconds=2.0, at=at(6), count=1),)


def test_with_task_events_a_run_is_counted_once(activity: Activity) -> None:
    activity.apply(task("started", "a", when=0.5), at(1))
    activity.apply(report(when=1, running=[said("a", started=0.5)]), at(1))
    activity.apply(report(seq=2, when=4.5, ended={"q": [1, 3.9]}), at(5))
    activity.apply(task("succeeded", "a", when=4.4, runtime=3.9), at(5))

    assert [run.seconds for run in activity.take_runs()] in ([], [3.9])


@pytest.mark.parametrize("runtime", [None, "long", -1.0, float("inf"), float("nan")])
def test_a_run_time_that_is_none_is_not_counted(activity: Activity, runtime: object) -> None:
    activity.apply({"type": "task-sent", "uuid": "a", "queue": "q"}, at(0))
    activity.apply(task("succeeded", "a", runtime=runtime), at(1))

    assert activity.take_runs() == ()


# -- what is coming


def test_a_task_for_later_is_coming_until_it_starts(activity: Activity) -> None:
    activity.apply({"type": "task-sent", "uuid": "b", "queue": "q", "eta": at(90).isoformat()}, NOW)
    activity.apply(
        {"type": "task-sent", "uuid": "a", "name": "t", "queue": "q", "eta": at(60).isoformat()}, NOW
    )
    activity.apply({"type": "task-sent", "uuid": "now", "queue": "q", "eta": None}, NOW)
    activity.apply({"type": "task-sent", "uuid": "past", "queue": "q", "eta": at(-1).isoformat()}, NOW)

    assert [(task.id, task.at, task.held_by) for task in activity.coming()] == [
        ("a", at(60), ""),
        ("b", at(90), ""),
    ]

    activity.apply(task("started", "a", when=60), at(60))
    activity.apply(task("revoked", "b", when=60), at(60))
    assert activity.coming() == ()


def test_a_worker_that_holds_a_task_for_later_is_known_and_gives_it_back_with_its_life(
    activity: Activity,
) -> None:
    eta = at(600).isoformat()
    activity.apply({"type": "task-sent", "uuid": "a", "queue": "q", "eta": eta}, NOW)
    activity.apply(task("received", "a", eta=eta), at(1))
    assert [task.held_by for task in activity.coming()] == ["celery@n1"]
    assert activity.host("n1").held == (), "it keeps no node busy"

    activity.apply(report(scheduled=1), at(2))
    assert [task.held_by for task in activity.coming()] == ["celery@n1"]

    activity.apply(report(seq=2, scheduled=0, fenced=True), at(3))
    assert [task.held_by for task in activity.coming()] == [""]


def test_a_task_for_later_that_is_given_back_is_still_coming(activity: Activity) -> None:
    eta = at(600).isoformat()
    activity.apply({"type": "task-sent", "uuid": "a", "queue": "q", "eta": eta}, NOW)
    activity.apply(task("received", "a", eta=eta), at(1))

    activity.apply(task("rejected", "a", requeue=True), at(2))

    assert [(task.id, task.held_by) for task in activity.coming()] == [("a", "")]


def delayed(task_id: str, seconds: int, key: str = "res:ncpus=2@1.1") -> dict[str, str]:
    bits = ".".join(f"{seconds:028b}")
    sent = {"type": "task-sent", "uuid": task_id, "eta": at(seconds).isoformat()}
    return {**sent, "exchange": "celery_delayed_27", "routing_key": f"{bits}.{key}"}


def test_what_rabbitmq_keeps_until_its_time_is_in_its_queue_from_then_on(activity: Activity) -> None:
    activity.apply(delayed("a", 60), NOW)
    activity.apply(delayed("b", 600), NOW)
    wanted = [("a", "res:ncpus=2@1.1", THE_BROKER), ("b", "res:ncpus=2@1.1", THE_BROKER)]
    assert [(task.id, task.queue, task.held_by) for task in activity.coming()] == wanted

    activity.are_empty({"res:ncpus=2@1.1"}, at(59))
    assert len(activity.coming()) == 2, "it is in no queue that could be seen to be empty"
    activity.are_empty((), at(60))
    assert [task.held_by for task in activity.coming()] == ["", THE_BROKER]
    activity.apply(task("started", "a", when=60), at(60))
    assert [task.id for task in activity.coming()] == ["b"]


def test_what_the_broker_has_for_later_is_remembered_with_where_it_is(activity: Activity) -> None:
    activity.apply(delayed("a", 60), NOW)
    activity.apply({"type": "task-sent", "uuid": "b", "queue": "q", "eta": at(90).isoformat()}, NOW)
    noted = coming.to_json(activity.coming())
    again = Activity()
    again.expect(coming.from_json(noted), NOW)
    assert again.coming() == activity.coming()
    again.expect(coming.from_json([["old", "t", "q", at(95).isoformat()]]), NOW)
    assert [task.held_by for task in again.coming()] == [THE_BROKER, "", ""]


def test_a_time_without_a_zone_is_utc(activity: Activity) -> None:
    activity.apply({"type": "task-sent", "uuid": "a", "queue": "q", "eta": "2026-05-04T12:01:00"}, NOW)
    assert activity.coming()[0].at == at(60)


def test_when_a_watched_task_was_sent_is_remembered_until_asked(activity: Activity) -> None:
    def send(name: str, when: float) -> None:
        said = {"type": "task-sent", "uuid": f"{name}{when}", "name": name, "queue": "q", "hostname": "gen@x"}
        activity.apply(said, at(when))

    send("a", 0)
    assert activity.take_sends() == (), "nobody watched"
    activity.watch(frozenset({"a"}))
    for name, when in (("a", 1), ("b", 2), ("a", 3)):
        send(name, when)
    assert activity.take_sends() == (Sent("a", "q", at(1)), Sent("a", "q", at(3)))
    assert activity.take_sends() == ()
