"""The line of a pass counts nodes and messages, and says in how many calls where that differs."""

from __future__ import annotations

import logging

import pytest

from autoscaler_app.passes.report import Action, Report, summary
from tests.unit.autoscaler_app.world import NOON, World


@pytest.mark.parametrize(
    ("counts", "said"),
    [([17], "launch 17"), ([5, 12], "launch 17 (2 calls)"), ([1, 1], "launch 2"), ([], "nothing to do")],
)
def test_counts_are_of_things_and_not_of_calls(world: World, counts: list[int], said: str) -> None:
    plan = world.make_pass().plan
    actions = tuple(Action(kind="launch", target="x", ok=True, count=count) for count in counts)
    told = summary(Report(started=NOON, plan=plan, actions=actions))
    assert told.split("; ")[5] == said


def test_a_launch_counts_the_nodes_that_came(world: World) -> None:
    world.queues.waiting["celery"] = 4
    assert "launch 2;" in summary(world.make_pass())


def test_a_pass_and_each_deed_are_a_line_with_facts(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.queues.waiting["celery"] = 4
    with caplog.at_level(logging.INFO, "autoscaler_app.passes.one_pass"):
        world.make_pass()
    deed, whole = (record.facts for record in caplog.records if hasattr(record, "facts"))
    assert deed == {
        "action": "launch",
        "pass": 1,
        "target": "2 x all/small",
        "ok": True,
        "detail": "2 added",
        "count": 2,
    }
    assert (whole["action"], whole["pass"], whole["waiting"], whole["nodes"]) == ("pass", 1, 4, 0)
    assert whole["done"] == {"launch": 2}
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        "pass 1: launch 2 x all/small: 2 added",
        "pass 1: waiting 4",
    ]
