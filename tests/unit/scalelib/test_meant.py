"""What a machine was bought for, in the engine."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from scalelib.demand import NodeReason
from scalelib.history import NodeTimes
from scalelib.job import Job
from scalelib.node import NodeState


def test_what_a_machine_was_bought_for_is_tried_first_and_falls_away_with_the_demand(world: Any) -> None:
    nodes = [world.node(i, "F4") for i in (1, 2)]
    meant = {nodes[0].id: {"b": 1}, nodes[1].id: {"a": 1}}
    jobs = [Job("a", {"ncpus": 4}), Job("b", {"ncpus": 3})]
    for wanted, expected in ((jobs, [{"b": 1}, {"a": 1}]), (jobs[:1], [{}, {"a": 1}]), ([], [{}, {}])):
        assert [dict(v.jobs) for v in world.plan(wanted, nodes, meant=meant).nodes] == expected


def test_who_has_a_higher_priority_may_take_what_was_bought_for_others(world: Any) -> None:
    node = world.node(1, "F4")
    jobs = [Job("low", {"ncpus": 4}), Job("high", {"ncpus": 4}, priority=1)]
    (verdict,) = world.plan(jobs, [node], meant={node.id: {"low": 1}}).nodes
    assert dict(verdict.jobs) == {"high": 1}


@pytest.mark.parametrize(
    ("meant", "age", "was_ready", "bought"),
    [
        ({"a": 1}, None, False, 0),
        ({"a": 1}, 0.9, False, 0),
        ({"a": 1}, 1.1, False, 1),
        ({"a": 1}, 0.9, True, 1),
        ({}, None, False, 1),
    ],
)
def test_of_what_state_a_machine_is_nobody_knows_and_it_is_not_bought_twice_until_it_is_late(
    world: Any, meant: dict[str, int], age: float | None, was_ready: bool, bought: int
) -> None:
    """`age` in boot timeouts; None: it is seen for the first time."""
    node = world.node(1, "F4", NodeState.UNKNOWN)
    problem = world.problem([Job("a", {"ncpus": 4})], [node])
    history = {}
    if age is not None:
        since = problem.now - age * problem.policy.boot_timeout(node.nodearray)
        history = {
            node.id: NodeTimes(created=since, ready=since + timedelta(seconds=1) if was_ready else None)
        }
    demand = world.plan([Job("a", {"ncpus": 4})], [node], meant={node.id: meant}, history=history)
    assert sum(launch.count for launch in demand.launches) == bought
    assert demand.nodes[0].reason is (NodeReason.OFF if bought else NodeReason.MATCHED)
