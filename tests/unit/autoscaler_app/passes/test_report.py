"""The line of a pass counts nodes and messages, and says in how many calls where that differs."""

from __future__ import annotations

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
