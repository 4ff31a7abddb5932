"""What grows, grows no faster than its size: counted in calls and lines, so that no clock has a say."""

from __future__ import annotations

from benchmarks import scalelib as bench
from tests.unit.scalelib.growth import calls


def test_machines_are_read_once_however_many_plans_are_tried() -> None:
    """Work for which more has to be bought: all of it is tried in a dozen orders on what is there."""
    found = calls(bench.a_million_tasks(100_000, 200))
    assert found["Planning.squeeze"] > 10
    assert found["Catalogue.of_node"] == found["tier_of"] == 200
    assert found["machine"] == 50 + 50  # each kind of node, each bucket


def test_names_of_new_nodes_are_written_out_when_somebody_reads_them() -> None:
    few, many = (calls(bench.a_million_tasks(tasks, 0)) for tasks in (10_000, 1_000_000))
    assert many.total() < 1.3 * few.total()
