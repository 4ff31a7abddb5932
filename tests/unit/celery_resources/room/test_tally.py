"""A node counts its runs by queue, and tells of those queues that had a task last."""

from __future__ import annotations

from celery_resources.room.tally import MOST_QUEUES, Tally


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
