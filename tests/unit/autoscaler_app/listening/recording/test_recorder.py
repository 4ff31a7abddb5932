"""Events in, lines of a trace out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from autoscaler_app.listening.recording import recorder as recorder_module
from autoscaler_app.listening.recording.recorder import Recorder
from autoscaler_app.listening.recording.trace import End, Gap, Head, Kind, Line, Tasks, encode, read
from celery_resources import Requirement
from tests.unit.autoscaler_app.listening.events import EPOCH, NOW, at, report, said, task

GANG = Requirement({"ncpus": 2}, node_count=4, colocated=True)


class Recording:
    """A recorder, and what it has written."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.recorder = Recorder(NOW, self.lines.append, lambda queue: GANG, "a test")

    def hear(self, *events: tuple[float, dict[str, Any]]) -> Recording:
        for seconds, event in events:
            self.recorder.apply(event, at(seconds))
        return self

    def close(self, seconds: float) -> list[Line]:
        self.recorder.close(at(seconds))
        return self.lines

    @property
    def tasks(self) -> list[Tasks]:
        return [line for line in self.lines if isinstance(line, Tasks)]


@pytest.fixture
def recording() -> Recording:
    return Recording()


def sent(task_id: str, queue: str = "q", **facts: Any) -> dict[str, Any]:
    return {"type": "task-sent", "uuid": task_id, "queue": queue, "hostname": "sender", **facts}


def test_a_task_is_written_when_it_has_ended_after_what_its_queue_needs(recording: Recording) -> None:
    recording.hear(
        (1, sent("a")),
        (1.5, task("received", "a")),
        (4, task("started", "a")),
        (9, task("succeeded", "a", runtime=4.25)),
    )
    assert recording.close(10) == [
        Head(version=1, began=NOW, note="a test"),
        Kind(queue="q", constraints={"ncpus": 2}, node_count=4, colocated=True),
        Tasks(at=1, queue="q", run=4.25, waited=3),
        End(seconds=10),
    ]


def test_the_same_queue_is_told_of_once(recording: Recording) -> None:
    for name in "ab":
        recording.hear((1, sent(name)), (2, task("started", name)), (3, task("succeeded", name, runtime=1)))
    assert len(recording.tasks) == 2
    assert sum(isinstance(line, Kind) for line in recording.lines) == 1


def test_a_task_that_failed_ran_from_its_start_to_its_end(recording: Recording) -> None:
    recording.hear((0, sent("a")), (2, task("started", "a")), (7.5, task("failed", "a")))
    assert recording.tasks == [Tasks(at=0, queue="q", run=5.5, waited=2)]


def test_what_is_tried_again_comes_again(recording: Recording) -> None:
    recording.hear((0, sent("a")), (1, task("started", "a")), (3, task("retried", "a")))
    recording.hear((3, sent("a")), (5, task("started", "a")), (6, task("succeeded", "a", runtime=1.0)))
    assert [(each.at, each.run, each.waited) for each in recording.tasks] == [(0, 2, 1), (3, 1, 2)]


def test_what_was_revoked_before_it_began_needs_no_machine(recording: Recording) -> None:
    recording.hear((0, sent("a")), (1, task("revoked", "a")))
    recording.close(10)
    assert recording.tasks == []


def test_what_was_given_back_is_waited_for(recording: Recording) -> None:
    recording.hear((0, sent("a")), (1, task("received", "a")), (2, task("rejected", "a", requeue=True)))
    recording.hear((5, task("started", "a")), (6, task("succeeded", "a", runtime=1)))
    assert recording.tasks == [Tasks(at=0, queue="q", run=1, waited=5)]


def test_what_runs_twice_has_waited_until_it_first_began(recording: Recording) -> None:
    """Its first worker was lost."""
    recording.hear((0, sent("a")), (1, task("started", "a")), (90, task("started", "a", "celery@n2")))
    recording.hear((95, task("succeeded", "a", "celery@n2", runtime=5)))
    assert recording.tasks == [Tasks(at=0, queue="q", run=5, waited=1)]


def test_a_task_for_later_has_its_time_and_waits_from_then_on(recording: Recording) -> None:
    eta = (NOW + timedelta(seconds=60)).isoformat()
    recording.hear((0, sent("a", eta=eta)), (61, task("started", "a")))
    recording.hear((62, task("succeeded", "a", runtime=1)))
    assert recording.tasks == [Tasks(at=0, queue="q", run=1, due=60, waited=1)]


def test_without_the_word_of_its_sender_a_task_came_when_a_worker_had_it(recording: Recording) -> None:
    """Its queue is told by the account of the worker that runs it; how long it waited is not known."""
    recording.hear(
        (1, task("received", "a")),
        (2, task("started", "a")),
        (2.1, report(running=[said("a", "big")])),
        (5, task("succeeded", "a", runtime=3)),
    )
    assert recording.tasks == [Tasks(at=1, queue="big", run=3)]


def test_a_task_of_which_nobody_told_the_queue_is_counted(recording: Recording) -> None:
    recording.hear((2, task("started", "a")), (5, task("succeeded", "a", runtime=3)))
    recording.hear((5, task("succeeded", "never-heard-of", runtime=3)))
    assert recording.close(9)[-1] == End(seconds=9, unplaced=2)
    assert recording.tasks == []


def test_of_workers_without_task_events_the_counts_are_written(recording: Recording) -> None:
    recording.hear((0, report(seq=1, ended={"q": (10, 50.0)})))  # before the recording
    recording.hear((20, report(seq=2, ended={"q": (14, 58.0), "r": (1, 30.0)})))
    assert recording.tasks == [Tasks(at=18, queue="q", run=2, count=4), Tasks(at=0, queue="r", run=30)]


def test_of_workers_with_task_events_they_are_not(recording: Recording) -> None:
    recording.hear((0, report(seq=1)), (0, sent("a")), (1, task("started", "a")))
    recording.hear((3, task("succeeded", "a", runtime=2)), (3.1, report(seq=2, ended={"q": (1, 2.0)})))
    assert len(recording.tasks) == 1


def test_what_has_not_ended_is_written_as_it_stands(recording: Recording) -> None:
    recording.hear((0, sent("runs")), (1, sent("waits")), (4, task("started", "runs")))
    assert recording.close(10)[2:] == [
        Tasks(at=0, queue="q", run=6, waited=4, cut=True),
        Tasks(at=1, queue="q"),
        End(seconds=10),
    ]


def test_where_something_may_have_gone_unheard_is_written(recording: Recording) -> None:
    recording.hear((3, sent("a")))
    recording.recorder.doubt()
    recording.hear((8, sent("b")), (9, sent("c")))
    assert [line for line in recording.lines if isinstance(line, Gap)] == [Gap(at=3, seconds=5)]


def test_the_control_side_s_own_tasks_are_not_the_work(recording: Recording) -> None:
    for queue in ("autoscale", "autoscale.notes"):
        recording.hear((0, sent(queue, queue)), (1, task("started", queue)))
        recording.hear((2, task("succeeded", queue, runtime=1)), (3, sent("waits", queue)))
    recording.close(9)
    assert recording.tasks == []


def test_memory_is_bounded(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "MOST_OPEN", 3)
    recording.hear(*((n, sent(str(n))) for n in range(5)))
    assert recording.close(9)[-1] == End(seconds=9, dropped=2)
    assert [each.at for each in recording.tasks] == [2, 3, 4]


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"type": 5},
        {"type": "task-started"},
        {"type": "task-sent", "uuid": "a", "queue": "q", "eta": "soon"},
        {"type": "worker-resources", "hostname": "celery@n1", "ended": "many"},
    ],
)
def test_what_cannot_be_read_is_counted(recording: Recording, event: dict[str, Any]) -> None:
    recording.hear((0, event))
    assert recording.recorder.losses == (1, 0)


def test_what_is_written_can_be_read(recording: Recording) -> None:
    recording.hear((5, sent("late")), (1, sent("early")))
    for name in ("late", "early"):
        recording.hear((6, task("started", name)), (7, task("succeeded", name, runtime=1, timestamp=EPOCH)))
    trace = read(map(encode, recording.close(20)))
    assert [each.at for each in trace.tasks] == [1, 5]
    assert (trace.seconds, trace.count, trace.began) == (20, 2, datetime(2026, 5, 4, 12, tzinfo=UTC))
