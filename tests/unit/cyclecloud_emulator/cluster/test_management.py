"""The verbs on nodes: selectors, per-node results, and what is protected."""

import json

import pytest


def names(results):
    return [result["name"] for result in results]


def test_selectors_are_a_union_and_unknown_ones_are_silently_absent(world):
    world.create(5)
    world.wait(10)
    nodes = world.nodes()
    results = world.manage(
        "terminate",
        ids=[nodes["worker-1"]["NodeId"], "00000000-dead-4000-8000-000000000000"],
        names=["worker-2", "nobody"],
        hostnames=[nodes["worker-3"]["Hostname"]],
        ip_addresses=[nodes["worker-4"]["PrivateIp"]],
    )
    assert names(results) == ["worker-1", "worker-2", "worker-3", "worker-4"]
    assert {result["status"] for result in results} == {"OK"}
    assert world.nodes()["worker-5"]["TargetState"] == "Started"


def test_a_filter_selects_by_attributes(world):
    world.create(1)
    world.create(1, size="D8")
    world.wait(10)
    assert names(world.manage("terminate", filter='State === "Started" && CoreCount > 4')) == ["worker-2"]


def test_a_protected_node_is_refused_by_itself_and_the_request_is_accepted(world):
    world.create(1, nodeAttributes={"KeepAlive": True})
    world.create(1)
    results = world.manage("terminate", names=["worker-1", "worker-2"])
    assert [result["status"] for result in results] == ["Error", "OK"]
    assert results[0]["error"] == "Node is protected by KeepAlive"
    assert world.nodes()["worker-1"]["TargetState"] == "Started"


def test_a_repeated_request_id_is_a_conflict_for_every_kind_of_request(world):
    world.create(2)
    body = {"names": ["worker-1"], "requestId": "down"}
    assert world.ask("POST", "/clusters/c/nodes/terminate", body).status == 202
    assert world.ask("POST", "/clusters/c/nodes/shutdown", body).status == 409
    create = {"requestId": "down", "sets": [{"nodearray": "worker", "count": 1}]}
    assert world.ask("POST", "/clusters/c/nodes/create", create).status == 409


def test_terminating_twice_is_harmless(world):
    world.create(1)
    first = world.manage("terminate", names=["worker-1"])
    assert world.manage("terminate", names=["worker-1"]) == first
    world.wait(2)
    assert world.manage("terminate", names=["worker-1"]) == []


def test_start_of_a_node_that_runs_changes_nothing(world):
    world.create(1)
    world.wait(10)
    assert world.manage("start", names=["worker-1"])[0]["status"] == "OK"
    assert world.nodes()["worker-1"]["Status"] == "Ready"


def test_restart_of_a_node_that_is_not_ready_is_an_error_of_that_node(world):
    world.create(1)
    assert world.manage("restart", names=["worker-1"])[0]["status"] == "Error"


def test_starting_deallocated_nodes_ignores_the_limit_unless_switched_off(make_world):
    for over_limit, status in ((True, "OK"), (False, "Error")):
        world = make_world(
            clusters={"c": {"nodearrays": {"worker": {"max_count": 1}}}},
            quirks={"deallocated_over_limit": over_limit},
        )
        world.create(1)
        world.wait(10)
        world.manage("deallocate", names=["worker-1"])
        world.wait(2)
        world.create(1)
        assert world.manage("start", names=["worker-1"])[0]["status"] == status


@pytest.mark.parametrize(
    "body",
    [b"{", {"ids": "abc"}, {"ids": [1]}, [], {"filter": "State ==="}, {"filter": "("}, {"filter": "a ~ b"}],
)
def test_a_body_that_cannot_be_read_is_a_conflict(world, body):
    world.create(1)
    answer = world.ask("POST", "/clusters/c/nodes/terminate", body)
    assert answer.status == 409
    assert json.loads(answer.body)["Message"]
    assert world.nodes()["worker-1"]["TargetState"] == "Started"
