"""What a machine was bought for, in the engine."""

from __future__ import annotations

from typing import Any

from scalelib.job import Job


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
