"""What is believed of workers, from the accounts that they give of themselves."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from autoscaler_app.listening.activity import Activity, Change, ChangeKind, HeldTask, RunningTask
from tests.unit.autoscaler_app.listening.events import EPOCH, NOW, at, ids, report, said


def test_a_report_is_what_is_believed(activity: Activity) -> None:
    changes = activity.apply(
        report(
            total={"ncpus": 4, "memgb": 16.0},
            free={"ncpus": 3, "memgb": 8.0},
            running=[said("a")],
            held=[{"id": "b", "queue": "big"}],
            scheduled=2,
            queues=["q", "big"],
            fenced=True,
            fence_reason="autoscaler",
        ),
        at(1),
    )

    (host,) = activity.hosts()
    assert host.hostname == "n1"
    assert (host.total, host.free) == ({"ncpus": 4, "memgb": 16.0}, {"ncpus": 3, "memgb": 8.0})
    assert host.running == (RunningTask(id="a", name="t", queue="q", started=NOW, nodename="celery@n1"),)
    assert host.held == (HeldTask(id="b", queue="big"),)
    assert (host.scheduled, host.queues, host.fenced) == (2, ("big", "q"), True)
    assert (host.told, host.heard) == (at(1), at(1))
    assert host.workers[0].fence_reason == "autoscaler"
    assert changes == (Change(kind=ChangeKind.NEW, hostname="n1"),)


def test_the_answer_of_a_worker_that_was_asked_counts_like_its_report(activity: Activity) -> None:
    activity.merge({"hostname": "n1", "nodename": "celery@n1", "pid": 1, "running": [said("a")]}, at(3))

    assert ids(activity) == {"a"}
    assert activity.host("n1").told == at(3)


def test_a_heartbeat_is_a_sign_of_life_and_tells_nothing_of_work(activity: Activity) -> None:
    activity.apply({"type": "worker-heartbeat", "hostname": "celery@n1", "pid": 1, "active": 0}, at(1))

    host = activity.host("n1")
    assert (host.heard, host.told) == (at(1), None)


def test_the_next_report_replaces_the_last(activity: Activity) -> None:
    activity.apply(report(running=[said("a")]), at(0))

    assert activity.apply(report(seq=2, fenced=True), at(1)) == ()
    assert ids(activity) == set()
    assert activity.host("n1").fenced
    assert activity.counters().gaps == 0


def test_an_older_report_that_comes_late_is_not_believed(activity: Activity) -> None:
    activity.apply(report(seq=3, running=[said("a")]), at(0))
    activity.apply(report(seq=2), at(1))

    assert ids(activity) == {"a"}
    assert activity.counters().stale == 1


def test_reports_that_never_came_are_counted(activity: Activity) -> None:
    activity.apply(report(seq=1), at(0))
    activity.apply(report(seq=5), at(1))

    assert activity.counters().gaps == 3


def test_an_answer_to_somebody_else_is_no_event_that_was_lost(activity: Activity) -> None:
    """A command asks every worker; the account that it gets counts as given, and not as an event."""
    activity.apply(report(seq=1, events=1), at(0))
    activity.apply(report(seq=3, events=2), at(1))
    assert activity.counters().gaps == 0
    activity.apply(report(seq=6, events=4), at(2))
    assert activity.counters().gaps == 1


def test_an_event_that_an_answer_overtakes_is_not_lost(activity: Activity) -> None:
    activity.apply(report(seq=1, events=1), at(0))
    activity.merge({**report(seq=3, events=2), "nodename": "celery@n1"}, at(1))
    activity.apply(report(seq=2, events=2), at(1))
    activity.apply(report(seq=4, events=3), at(2))
    assert (activity.counters().gaps, activity.counters().stale) == (0, 1)


def test_an_event_that_was_lost_before_an_answer_is_counted_at_the_next(activity: Activity) -> None:
    activity.apply(report(seq=1, events=1), at(0))
    activity.merge({**report(seq=4, events=3), "nodename": "celery@n1"}, at(1))
    assert activity.counters().gaps == 0, "they may be on their way"
    activity.apply(report(seq=5, events=4), at(2))
    assert activity.counters().gaps == 2


def test_a_worker_that_was_first_heard_late_has_lost_nothing_before(activity: Activity) -> None:
    activity.apply(report(seq=50, events=40), at(0))
    activity.apply(report(seq=51, events=41), at(1))
    assert activity.counters().gaps == 0


def test_a_worker_that_was_started_again_is_another(activity: Activity) -> None:
    """What its old life ran died with it, once that is shown; until then the host is unknown."""
    activity.apply(report(seq=9, running=[said("a")], machine={"space": "s"}), at(0))
    activity.apply({"type": "worker-online", "hostname": "celery@n1", "pid": 2}, at(1))

    assert (ids(activity), activity.host("n1").told) == ({"a"}, None)

    new = {"pid": 2, "started": EPOCH + 0.5, "machine": {"space": "s"}, "gone": [1]}
    activity.apply(report(when=2, **new, running=[said("b")]), at(2))
    activity.apply(report(seq=10, running=[said("a")]), at(3))

    assert (ids(activity), activity.host("n1").told) == ({"b"}, at(2)), (
        "a late word of the old life is nothing"
    )


def test_after_a_doubt_everybody_is_unknown_and_keeps_what_was_believed(activity: Activity) -> None:
    activity.apply(report(running=[said("a")]), at(0))

    activity.doubt()

    assert (activity.host("n1").told, ids(activity)) == (None, {"a"})
    assert activity.apply(report(seq=2, running=[said("a")]), at(1)) == (), "it is not new"
    assert activity.host("n1").told == at(1)


def test_a_host_is_put_together_once_until_something_of_it_changes(activity: Activity) -> None:
    """A pass asks several times for ten thousand of them."""
    activity.apply(report("celery@n1"), at(0))
    activity.apply(report("celery@n2"), at(0))
    first, second = activity.hosts()
    activity.apply(report("celery@n2", seq=2), at(1))
    assert activity.hosts()[0] is first
    assert activity.hosts()[1] != second
    activity.clock_was_set(timedelta(seconds=-9), at(1))
    assert [host.told for host in activity.hosts()] == [at(-9), at(-8)]
    activity.doubt()
    assert [host.told for host in activity.hosts()] == [None, None]
    activity.know_machines({"n1": "one", "n2": "one"})
    assert [host.hostname for host in activity.hosts()] == ["one"]


def test_saying_goodbye_does_not_prove_that_nothing_runs(activity: Activity) -> None:
    """Celery sends `worker-offline` at the beginning of a warm shutdown, before the last tasks are done."""
    activity.apply(report(running=[said("a")]), at(0))

    activity.apply({"type": "worker-offline", "hostname": "celery@n1", "pid": 1}, at(1))
    assert (activity.host("n1").offline, ids(activity)) == (True, {"a"})


def test_a_worker_that_left_is_forgotten_and_its_next_life_is_not(activity: Activity) -> None:
    activity.apply(report(), at(0))
    assert not activity.forget_worker("celery@n1", pid=99)
    assert activity.host("n1") is not None

    assert activity.forget_worker("celery@n1", pid=1)
    assert activity.host("n1") is None
    assert activity.forget_worker("celery@n1"), "nobody of that name is known"


def test_a_host_is_forgotten_with_all_its_workers(activity: Activity) -> None:
    for nodename in ("a@n1", "b@n1", "a@n2"):
        activity.apply(report(nodename), at(0))

    activity.forget("n1")

    assert [host.hostname for host in activity.hosts()] == ["n2"]


def test_a_worker_that_is_none_of_ours_is_ignored(activity: Activity) -> None:
    activity.apply(report("celery@broker"), at(0))
    activity.ignore("celery@broker")
    activity.apply(report("celery@broker", seq=2), at(1))
    activity.merge({"nodename": "celery@broker"}, at(1))

    assert activity.hosts() == ()


def test_a_worker_that_cannot_say_what_it_has_is_no_nodes_until_it_says_so(activity: Activity) -> None:
    """It was started without resources, or asked while it came up; then it is started as it should be."""
    activity.apply({"type": "worker-heartbeat", "hostname": "celery@n1", "pid": 1}, at(0))
    activity.cannot_say("celery@n1")
    activity.apply({"type": "worker-heartbeat", "hostname": "celery@n1", "pid": 1}, at(1))
    assert (activity.hosts(), activity.nodenames()) == ((), {"celery@n1"})

    activity.apply(report(running=[said("a")]), at(2))
    assert ids(activity) == {"a"}


def test_a_worker_that_has_told_and_fails_to_answer_once_is_not_forgotten(activity: Activity) -> None:
    activity.apply(report(running=[said("a")]), at(0))
    activity.doubt()
    activity.cannot_say("celery@n1")
    assert (activity.host("n1").told, ids(activity)) == (None, {"a"})


# -- several workers on one host


def test_the_workers_of_a_host_add_up_and_the_oldest_word_counts(activity: Activity) -> None:
    activity.apply(
        report(
            "a@n1", total={"ncpus": 2, "disk": "ssd"}, free={"ncpus": 1}, running=[said("x")], fenced=True
        ),
        at(0),
    )
    activity.apply(report("b@n1", total={"ncpus": 3}, free={"ncpus": 3}, queues=["q"]), at(7))

    (host,) = activity.hosts()
    assert host.total == {"ncpus": 5, "disk": "ssd"}
    assert host.free == {"ncpus": 4}
    assert [worker.nodename for worker in host.workers] == ["a@n1", "b@n1"]
    assert host.fenced is False, "one of them still takes work"
    assert (host.told, host.heard) == (at(0), at(0))
    assert activity.host("n1") == host


def test_a_host_is_unknown_while_one_of_its_workers_is(activity: Activity) -> None:
    activity.apply(report("a@n1"), at(0))
    activity.apply({"type": "worker-heartbeat", "hostname": "b@n1", "pid": 2}, at(1))

    assert activity.host("n1").told is None


# -- what is sent, and who takes it


def test_a_task_that_is_sent_is_a_reason_to_look(activity: Activity) -> None:
    changes = activity.apply({"type": "task-sent", "uuid": "a", "queue": "big"}, at(0))
    assert changes == (Change(kind=ChangeKind.SENT, queue="big"),)


@pytest.mark.parametrize(
    ("facts", "served"),
    [
        ({"queues": ["q"]}, True),
        ({"queues": ["other"]}, False),
        ({"queues": ["q"], "fenced": True}, False),
        ({"queues": ["q"], "held": [{"id": "a"}]}, False),
    ],
)
def test_a_queue_is_served_by_who_consumes_it_and_can_take_more(
    activity: Activity, facts: dict[str, Any], served: bool
) -> None:
    assert activity.is_served("q") is False
    activity.apply(report(**facts), at(0))
    assert activity.is_served("q") is served
