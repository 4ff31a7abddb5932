"""What is announced for later is told apart from what waits now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler_app.listening.activity import ComingTask, HostView
from autoscaler_app.listening.activity.coming import THE_BROKER
from autoscaler_app.passes.observe.due import MOST_NAMED, Due, due_by_queue

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
HORIZON = timedelta(minutes=5)


def coming(seconds: float, queue: str = "q", held_by: str = "", number: int = 0) -> ComingTask:
    return ComingTask(
        id=f"{queue}{seconds}{number}",
        name="t",
        queue=queue,
        at=NOW + timedelta(seconds=seconds),
        held_by=held_by,
    )


def one(depth: int, *tasks: ComingTask, hosts: tuple[HostView, ...] = ()) -> Due:
    return due_by_queue({"q": depth}, tasks, hosts, NOW, HORIZON)["q"]


@pytest.mark.parametrize(
    ("depth", "tasks", "wanted", "why"),
    [
        (3, [], Due(waiting=3, soon=(), later=0), "nothing is announced"),
        (3, [coming(3600)], Due(waiting=2, soon=(), later=1), "it stands in the queue, and not for now"),
        (3, [coming(60)], Due(waiting=2, soon=(60.0,), later=0), "a node must boot for it now"),
        (3, [coming(60, held_by="w@n")], Due(waiting=3, soon=(60.0,), later=0), "a worker has it"),
        (3, [coming(60, held_by=THE_BROKER)], Due(waiting=3, soon=(60.0,), later=0), "RabbitMQ has it"),
        (3, [coming(-1)], Due(waiting=3, soon=(), later=0), "its time has come: it waits like any other"),
        (0, [coming(60), coming(90)], Due(waiting=0, soon=(60.0, 90.0), later=0), "never less than none"),
        (2, [coming(60, "other")], Due(waiting=2, soon=(), later=0), "of another queue"),
    ],
)
def test_table(depth: int, tasks: list[ComingTask], wanted: Due, why: str) -> None:
    assert one(depth, *tasks) == wanted, why


def test_what_is_not_certain_to_be_in_the_queue_is_not_taken_off() -> None:
    """Without task events a worker tells how many tasks for later it holds, and not which."""
    host = HostView(hostname="n1", scheduled=1)

    assert one(5, coming(3600), coming(7200), hosts=(host,)).waiting == 4

    named = coming(3600, held_by="w@n1")
    assert one(5, named, coming(7200), hosts=(host,)).waiting == 4, "that one is accounted for"

    delayed = coming(3600, held_by=THE_BROKER)
    assert one(5, delayed, coming(7200), hosts=(host,)).waiting == 5, "that one is with no worker"


def test_a_hundred_thousand_tasks_for_one_moment_are_named_a_thousand_times() -> None:
    found = one(2 * MOST_NAMED, *(coming(10, number=number) for number in range(2 * MOST_NAMED)))
    assert len(found.soon) == MOST_NAMED


@given(
    st.integers(0, 50),
    st.lists(st.tuples(st.floats(-600, 6000), st.sampled_from(["", "w@n1", "w@n2"])), max_size=30),
    st.integers(0, 30),
)
def test_waiting_is_never_more_than_the_depth_nor_less_than_what_must_be_there(
    depth: int, tasks: list[tuple[float, str]], scheduled: int
) -> None:
    announced = [coming(seconds, held_by=who, number=n) for n, (seconds, who) in enumerate(tasks)]
    found = one(depth, *announced, hosts=(HostView(hostname="n1", scheduled=scheduled),))

    future = [task for task in announced if task.at > NOW]
    assert max(0, depth - sum(not task.held_by for task in future)) <= found.waiting <= depth
    assert len(found.soon) + found.later == len(future)
    assert list(found.soon) == sorted(found.soon)


def test_what_falls_due_at_the_horizon_is_soon_and_a_moment_later_is_not() -> None:
    edge = HORIZON.total_seconds()
    assert one(3, coming(edge), coming(edge + 1)) == Due(waiting=1, soon=(edge,), later=1)
