"""What each node was bought for is noted by a pass and found by the next one."""

from __future__ import annotations

import json
from typing import Any

from scalelib.meant import found
from scalelib.node import Node, NodeId, NodeState
from tests.unit.autoscaler_app.world import World


def node(name: str, bucket: str = "small", group: str | None = None, **changes: Any) -> Node:
    facts = {"nodearray": "all", "vm_size": bucket, "state": NodeState.ACQUIRING, "status": "Acquiring"}
    return Node(
        id=NodeId(f"id-{name}"), name=name, bucket_id=bucket, placement_group=group, **{**facts, **changes}
    )


FACT = {
    "nodes": [[{"a": 2}, ["n1", "n2"]]],
    "launched": [["small", None, [[2, {"b": 1}], [1, {"c": 3}]]], ["small", "PG", [[1, {"d": 1}]]]],
}


def test_nodes_that_were_there_are_known_by_name_and_the_others_by_what_was_launched() -> None:
    nodes = [
        node("n1"),
        node("n3"),
        node("n4"),
        node("n5"),
        node("n6"),
        node("n7", group="pg"),
        node("n8", "large"),
    ]
    assert found(FACT, nodes, seen=[NodeId("id-n1")]) == {
        "id-n1": {"a": 2},
        "id-n3": {"b": 1},
        "id-n4": {"b": 1},
        "id-n5": {"c": 3},
        "id-n7": {"d": 1},
    }


def test_a_node_that_was_there_and_had_no_work_is_for_nobody() -> None:
    assert found(FACT, [node("n9")], seen=[NodeId("id-n9")]) == {}


def test_a_node_that_is_to_go_is_for_nobody_and_nothing_is_known_at_first() -> None:
    assert found(FACT, [node("n9", wanted=False)], seen=[]) == {}
    assert found(None, [node("n1")], seen=[]) == {}


def test_a_pass_notes_it_before_it_launches_and_the_next_snapshot_has_it(world: World) -> None:
    world.queues.waiting["celery"] = 4
    world.make_pass()
    noted = world.control.state.fact("meant")
    assert json.loads(json.dumps(noted)) == noted
    assert world.sight().snapshot.meant == {"m1": {"celery": 2}, "m2": {"celery": 2}}
    world.make_pass()
    world.boot()
    assert world.sight().snapshot.meant == {"m1": {"celery": 2}, "m2": {"celery": 2}}
    world.queues.waiting["celery"] = 0
    world.make_pass()
    assert world.sight().snapshot.meant == {}, "it falls away when the demand does"


def test_a_pause_notes_nothing_that_is_not_bought(world: World) -> None:
    world.control.state.set_fact("paused", True)
    world.queues.waiting["celery"] = 4
    world.make_pass()
    assert world.control.state.fact("meant")["launched"] == []
