"""A node counts its runs by queue, and tells of those queues that had a task last."""

from __future__ import annotations

from celery_resources.room.tally import MOST_NAMES, MOST_QUEUES, Tally


def test_runs_and_their_seconds_add_up() -> None:
    tally = Tally()
    assert tally.told() == {}
    for queue, seconds in (("a", 1.0), ("b", 2.5), ("a", 3.0), ("a", -0.1)):
        tally.add(queue, seconds)
    assert tally.told() == {"b": [1, 2.5], "a": [3, 4.0]}


def test_of_too_many_queues_the_one_without_a_task_for_longest_is_forgotten() -> None:
    tally = Tally()
    for number in range(MOST_QUEUES):
        tally.add(f"q{number}", 1.0)
    tally.add("q0", 1.0)
    tally.add("new", 1.0)
    told = tally.told()
    assert len(told) == MOST_QUEUES
    assert "q1" not in told
    assert told["q0"] == [2, 2.0]
    assert told["new"] == [1, 1.0]


def test_in_each_queue_the_runs_are_told_by_the_name_of_the_task_too() -> None:
    tally = Tally()
    for queue, seconds, name in (("a", 1.0, "x"), ("a", 2.0, "y"), ("b", 4.0, "x"), ("a", 8.0, "x")):
        tally.add(queue, seconds, name)
    tally.add("c", 1.0)
    assert tally.told_by_name() == {"a": {"y": [1, 2.0], "x": [2, 9.0]}, "b": {"x": [1, 4.0]}}
    for number in range(MOST_NAMES):
        tally.add("d", 1.0, f"t{number}")
    assert list(tally.told_by_name()) == ["d"], "of too many those that ran last"
