"""A worker that is started again has nothing of its earlier life; the end of a run ends that run alone."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import pytest

from autoscaler_app.listening.activity import Activity, HeldTask, HostView, RunningTask
from tests.unit.autoscaler_app.listening.events import EPOCH, NOW, at, report, said, task


def ids(tasks: Iterable[RunningTask | HeldTask]) -> list[str]:
    return sorted(task.id for task in tasks)


HERE = {"space": "one machine"}


def the(activity: Activity) -> HostView:
    (host,) = activity.hosts()
    return host


def test_what_an_earlier_life_ran_and_held_is_not_in_the_next(activity: Activity) -> None:
    """Once it is shown that the earlier one has ended; until then both may be there."""
    activity.apply(report(running=[said("r")], held=[said("h")], started=EPOCH, machine=HERE), NOW)
    started_again = {**task("started", "new", when=5), "pid": 2}
    activity.apply(started_again, at(5))
    assert (ids(the(activity).running), ids(the(activity).held)) == (["new", "r"], ["h"])
    assert the(activity).told is None, "what it holds now is unknown until it tells"
    new = {"pid": 2, "started": EPOCH + 2, "machine": HERE, "running": [said("new", started=5)]}
    activity.apply(report(**new, when=6), at(6))
    assert the(activity).told is None, "and nobody has looked whether the other is there"
    activity.merge({"nodename": "celery@n1", **new, "seq": 2, "gone": [1]}, at(7))
    assert (ids(the(activity).running), ids(the(activity).held)) == (["new"], [])
    assert the(activity).told == at(7)


@pytest.mark.parametrize(
    ("space", "gone", "known"),
    [
        ("one machine", [], 2),
        ("another machine", [1], 2),
        ("", [1], 2),
        ("one machine", [7], 2),
        ("one machine", [1], 1),
    ],
)
def test_only_a_look_at_its_own_machine_proves_that_another_process_is_gone(
    activity: Activity, space: str, gone: list[int], known: int
) -> None:
    activity.apply(report(started=EPOCH, machine=HERE), NOW)
    activity.apply(report(pid=2, started=EPOCH + 2, machine={"space": space}, gone=gone, when=3), at(3))
    assert len(the(activity).workers) == known
    assert (the(activity).told is None) is (known == 2)


@pytest.mark.parametrize(
    ("space", "gone", "known"),
    [
        ("one machine", [2], [1]),
        ("one machine", [], [1, 2]),
        ("another machine", [2], [1, 2]),
        ("", [2], [1, 2]),
    ],
)
def test_the_younger_of_two_may_be_the_one_that_was_killed(
    activity: Activity, space: str, gone: list[int], known: list[int]
) -> None:
    """Without a last word; the other goes on, and has looked."""
    older = {"pid": 1, "started": EPOCH, "machine": {"space": space}, "running": [said("r")]}
    activity.apply(report(**older), NOW)
    activity.apply(report(pid=2, started=EPOCH + 2, machine=HERE, when=3), at(3))
    activity.merge({"nodename": "celery@n1", **older, "seq": 9, "gone": gone}, at(8))
    assert [worker.pid for worker in the(activity).workers] == known
    assert the(activity).told == (at(8) if known == [1] else None)
    assert ids(the(activity).running) == ["r"]


@pytest.mark.parametrize(("space", "known"), [("one machine", 1), ("a container of it", 2), ("", 1)])
def test_the_same_process_id_and_another_start_is_another_life(
    activity: Activity, space: str, known: int
) -> None:
    activity.apply(report(started=EPOCH, machine=HERE, running=[said("r")]), NOW)
    activity.apply(report(started=EPOCH + 2, machine={"space": space}, when=3), at(3))
    assert len(the(activity).workers) == known


def test_two_processes_that_tell_under_one_name_are_unknown_until_one_has_left(activity: Activity) -> None:
    """The one by hand is idle, the unit is busy; whoever tells last, the host is neither."""
    for second in range(0, 60, 10):
        busy = report(pid=1, started=EPOCH - 9, seq=second, when=second, running=[said("r")])
        idle = report(pid=2, started=EPOCH - 5, seq=second, when=second + 1)
        for event, now in ((busy, at(second)), (idle, at(second + 1))):
            activity.apply(event, now)
        assert ids(the(activity).running) == ["r"]
        assert the(activity).told is None
    assert [worker.at_once for worker in the(activity).workers] == [True, False]
    assert activity.forget_worker("celery@n1", 2, EPOCH - 5)
    assert the(activity).told == at(50)
    assert not any(worker.is_earlier for worker in the(activity).workers)


def test_the_youngest_is_who_began_last_whoever_speaks_first(activity: Activity) -> None:
    activity.apply(report(pid=2, started=EPOCH + 2, when=3), at(3))
    activity.apply(report(pid=1, started=EPOCH, when=4), at(4))
    activity.apply({**task("received", "a", when=9), "pid": 3}, at(9))
    assert [(worker.pid, worker.is_earlier) for worker in the(activity).workers] == [
        (1, True),
        (2, True),
        (3, False),
    ]


def test_what_has_several_processes_counts_once_as_room(activity: Activity) -> None:
    for pid in (1, 2):
        activity.apply(report(pid=pid, started=EPOCH + pid, when=pid + 1, total={"ncpus": 4}), at(pid + 1))
    assert the(activity).total == {"ncpus": 4}


def test_both_processes_that_answer_one_question_are_believed(activity: Activity) -> None:
    first = {"nodename": "celery@n1", "pid": 1, "started": EPOCH, "running": [said("r")]}
    second = {"nodename": "celery@n1", "pid": 2, "started": EPOCH + 1}
    activity.merge({**second, "others": [first]}, at(9))
    assert ids(the(activity).running) == ["r"]
    assert the(activity).told is None


def test_what_an_earlier_life_held_for_later_is_in_its_queue_again(activity: Activity) -> None:
    eta = (NOW + timedelta(hours=1)).isoformat()
    activity.apply(task("sent", "x", queue="q", eta=eta), NOW)
    activity.apply(task("received", "x", eta=eta), at(1))
    assert [coming.held_by for coming in activity.coming()] == ["celery@n1"]
    activity.apply({**task("received", "other", when=2), "pid": 2}, at(2))
    assert activity.forget_worker("celery@n1", 1)
    assert [coming.held_by for coming in activity.coming()] == [""]


def test_of_nobody_known_an_event_without_a_process_id_is_somebody(activity: Activity) -> None:
    activity.apply({**task("received", "a"), "pid": None}, NOW)
    assert ids(the(activity).held) == ["a"]
    assert activity.forget_worker("celery@n1", None)
    assert activity.hosts() == ()


def test_events_without_a_process_id_and_of_the_same_one_begin_no_new_life(activity: Activity) -> None:
    activity.apply(report(running=[said("r")]), NOW)
    for event in (task("received", "a", when=1), {**task("received", "b", when=2), "pid": None}):
        activity.apply(event, at(3))
    (host,) = activity.hosts()
    assert (ids(host.running), ids(host.held)) == (["r"], ["a", "b"])
    assert host.told == NOW


def test_an_account_of_an_earlier_life_says_nothing_of_this_one(activity: Activity) -> None:
    """It was written before this one began, and came late."""
    activity.apply(report(started=EPOCH, pid=2, running=[said("now")]), NOW)
    activity.apply(report(started=EPOCH - 9, pid=1, seq=99, fenced=True, when=-1), at(1))
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
