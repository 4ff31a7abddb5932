"""What grows, grows no faster than its size: counted in calls and lines, so that no clock has a say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from benchmarks import scalelib as bench
from scalelib.job import Job
from scalelib.planner import Problem
from tests.unit.scalelib.growth import calls


def test_machines_are_read_once_however_many_plans_are_tried() -> None:
    """Work for which more has to be bought: all of it is tried in a dozen orders on what is there."""
    short_of_one = replace(
        bench.a_million_tasks(100, 50),
        jobs=tuple(Job(f"queue-{i}", {"ncpus": 3, "memmb": 1000 + i}, iterations=32) for i in range(10)),
    )
    found = calls(short_of_one)
    assert found["Planning.squeeze"] > 10
    assert found["Catalogue.of_node"] == found["tier_of"] == 50
    assert found["machine"] == 50 + 50  # each kind of node, each bucket


def test_work_that_is_more_than_all_that_is_there_is_not_tried_there() -> None:
    assert calls(bench.a_million_tasks(100_000, 200))["Planning.squeeze"] == 0


def test_nodes_that_differ_by_what_nobody_asks_for_are_packed_as_one() -> None:
    found = calls(bench.uneven_nodes(500, each=200))
    assert found["Shape.__init__"] < 420  # 472 if each total is a machine of its own


def test_gangs_of_many_kinds_are_gathered_in_few_buckets() -> None:
    """A packing of all of them for each of 50 sizes takes three times as long as all the rest."""
    found = calls(bench.many_gangs(20))
    assert found["Gathering.score_of"] < 40  # 60 of all buckets
    assert found["Groups.several"] < 200  # some thousands if each choice asks again


def test_names_of_new_nodes_are_written_out_when_somebody_reads_them() -> None:
    few, many = (calls(bench.a_million_tasks(tasks, 0)) for tasks in (10_000, 1_000_000))
    assert many.total() < 1.3 * few.total()


def each_more(make: Callable[[int], Problem], size: int) -> float:
    """Calls for each one more, from this size to twice it."""
    return (calls(make(2 * size)).total() - calls(make(size)).total()) / size


def test_a_kind_of_job_is_not_held_beside_each_machine_by_itself() -> None:
    assert each_more(bench.distinct_kinds, 200) < 350  # 470 if it is, with 50 of them


def test_a_gang_has_a_quick_look_at_machines_that_are_full() -> None:
    assert each_more(bench.different_gangs, 100) < 700  # 1,100 if each is weighed up


def test_what_no_ceiling_leaves_room_for_is_not_packed() -> None:
    """Where work has no place, it is tried again and again to place some: each try would pack everything."""
    jobs = [Job("gang", {"ncpus": 2}, node_count=2), Job("more", {"ncpus": 2}, iterations=500)]
    short = bench.a_million_tasks(50, 0)
    short = replace(short, jobs=tuple(jobs), buckets=short.buckets[:6])
    short = replace(short, pools=tuple(replace(pool, cores=64) for pool in short.pools))
    assert calls(short)["best_of_rounds"] < 4  # 4 if it is, and each of them takes a hundred looks


def test_groups_that_are_too_small_for_all_gangs_are_not_packed_with_care() -> None:
    assert calls(bench.many_gangs(100))["best_of_rounds"] < 20  # 21 if they are
