"""Capabilities of machines become resources, by the machine itself, by rules, and by what is built in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scalelib.errors import InvalidConfig
from scalelib.job import Job
from scalelib.machine import Machine
from scalelib.planner import Fitting
from scalelib.policy import Policy
from scalelib.resources import machine, read_rules

GIB = 2**30


def made(
    rules: list[dict[str, Any]] = [],  # noqa: B006 - read only
    own: dict[str, Any] = {},  # noqa: B006 - read only
    *,
    software: dict[str, Any] | None = None,
    built_in: bool = True,
    **properties: Any,
) -> Machine:
    facts = {
        "name": None,
        "node_id": None,
        "nodearray": "worker",
        "vm_size": "F4",
        "vcpu_count": 4,
        "pcpu_count": 2,
        "gpu_count": 0,
        "memory": 8 * GIB,
        **properties,
    }
    return machine("a node", facts, own, read_rules(rules), software, built_in=built_in)


def test_what_is_built_in() -> None:
    assert made().resources == {
        "ncpus": 4,
        "pcpus": 2,
        "ngpus": 0,
        "memb": 8 * GIB,
        "memkb": 8 * 2**20,
        "memmb": 8192,
        "memgb": 8,
        "memtb": 0.0078125,
        "nodearray": "worker",
        "ccnodeid": None,
    }
    assert made(built_in=False).resources == {}


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ({"name": "x", "value": 3}, 3),
        ({"name": "x", "value": "nvme"}, "nvme"),
        ({"name": "x", "value": True}, True),
        ({"name": "x", "value": None}, None),
        ({"name": "x", "value": "size::100g"}, f"size::{100 * GIB}b"),
        ({"name": "x", "value": "memory::2g"}, f"memory::{2 * GIB}b"),
        ({"name": "x", "value": "node.vcpu_count"}, 4),
        ({"name": "x", "value": "node.vm_size"}, "F4"),
        ({"name": "x", "value": "node.memory"}, f"memory::{8 * GIB}b"),
        ({"name": "memgb", "value": "node.memory"}, 8),
        ({"name": "memmb", "value": "memory::1.5g"}, 1536),
        ({"name": "memgb", "value": "node.memory", "subtract": 1}, 7),
        ({"name": "memgb", "value": "node.memory", "subtract": "memory::512m"}, 7.5),
        ({"name": "memmb", "value": "node.memory", "multiply": 0.9}, 7372.8),
        ({"name": "x", "value": "node.vcpu_count", "multiply": 3, "subtract": 1}, 11),
        ({"name": "x", "value": "node.vcpu_count", "subtract": 1, "multiply": 3}, 9),
        ({"name": "x", "value": "node.vcpu_count", "divide": 8}, 0.5),
        ({"name": "x", "value": "node.vcpu_count", "divide_floor": 3}, 1),
        ({"name": "x", "value": "node.vcpu_count", "subtract": 9}, 0),
        ({"name": "x", "value": 0}, 0),
        ({"name": "x", "value": "node.resources.own"}, 5),
        ({"name": "x", "value": "node.resources.own", "add": 1}, 6),
        ({"name": "memmb", "value": "node.resources.own_mem"}, 1024),
        ({"name": "x", "value": "node.software_configuration.slots"}, 7),
        ({"name": "x", "value": "node.software_configuration.deep.er"}, "yes"),
        ({"name": "ncpus", "value": "node.pcpu_count"}, 2),
    ],
)
def test_what_a_rule_gives(rule: dict[str, Any], value: Any) -> None:
    own = {"own": 5, "own_mem": "memory::1g"}
    found = made([rule], own, software={"slots": 7, "deep": {"er": "yes"}}).resources[rule["name"]]
    assert found == value
    assert type(found) is type(value)


def test_the_first_rule_that_holds_wins_and_what_is_there_is_never_replaced() -> None:
    rules = [
        {"select": {"node.vm_size": "E*"}, "name": "kind", "value": "memory"},
        {"select": {"ncpus": 4}, "name": "kind", "value": "never, as ncpus is not there yet"},
        {"select": {"node.vcpu_count": 4}, "name": "kind", "value": "four"},
        {"select": {}, "name": "kind", "value": "any"},
        {"select": {}, "name": "own", "value": "replaced"},
        {"select": {"kind": "four"}, "name": "after", "value": 1},
    ]
    found = made(rules, {"own": "kept"}).resources
    assert (found["kind"], found["own"], found["after"]) == ("four", "kept", 1)


def test_a_rule_that_refers_to_nothing_is_passed_over() -> None:
    rules = [
        {"name": "x", "value": "node.software_configuration.missing"},
        {"name": "x", "value": "node.name"},
        {"name": "x", "value": 2},
    ]
    assert made(rules).resources["x"] == 2


def test_memory_is_one_whatever_unit_a_rule_is_in() -> None:
    found = made([{"name": "memgb", "value": "node.memory", "subtract": 2}])
    assert found.total["memory"] == 6 * GIB
    assert found.resources["memmb"] == 6 * 1024


def test_text_cannot_be_modified() -> None:
    with pytest.raises(InvalidConfig, match=r"default_resources\[0\]: 'F4' is no number"):
        made([{"name": "x", "value": "node.vm_size", "add": 1}])


def test_a_resource_that_no_machine_can_have_is_refused_where_it_is_used() -> None:
    with pytest.raises(InvalidConfig, match="resources of a node: licences: -3 is negative"):
        made(own={"licences": -3})


def test_which_jobs_a_node_could_hold(world: Any) -> None:
    jobs = [
        Job("dongle", {"ncpus": 2, "dongle": 1}),
        Job("big", {"ncpus": 3}),
        Job("either", {"or": [{"ncpus": 9}, {"node.vm_size": "F2"}]}),
    ]
    policy = Policy.from_config({"default_resources": [{"name": "dongle", "value": 1}]})
    assert Fitting(jobs, policy, ()).on(world.node(1)) == ("dongle", "either")
    assert Fitting(jobs, Policy(), ()).on(world.node(1)) == ("either",)


def test_a_quota_family_is_that_of_the_nodes_bucket(world: Any) -> None:
    """As in the plan that launched it, or the node would never be given the work that it was bought for."""
    bucket = replace(world.bucket("F2"), pools={"family/here/fFamily": 2})
    fitting = Fitting([Job("own", {"node.vm_family": "fFamily"})], Policy(), [bucket])
    assert fitting.on(world.node(1)) == ("own",)
    assert fitting.on(world.node(2, "F4")) == ()


def test_nodes_that_differ_are_looked_at_one_by_one(world: Any) -> None:
    fitting = Fitting([Job("own", {"licences": 1}), Job("any", {"ncpus": 1})], Policy(), ())
    with_licences = replace(world.node(2), resources={"licences": 1})
    assert fitting.on(world.node(1)) == ("any",)
    assert fitting.on(with_licences) == ("any", "own")
    assert fitting.on(world.node(3)) == ("any",)


def test_a_default_of_each_node_differs_between_nodes(world: Any) -> None:
    """Rules may read what only one node has; otherwise equal nodes are then told apart."""
    world.policy = Policy.from_config({"default_resources": [{"name": "host", "value": "node.hostname"}]})
    demand = world.plan([Job("a", {"host": "ip-2"})], [world.node(1), world.node(2), world.node(3)])
    assert [dict(verdict.jobs) for verdict in demand.nodes] == [{}, {"a": 1}, {}]


def test_a_constraint_may_name_one_node(world: Any) -> None:
    nodes = [world.node(1), world.node(2)]
    for wish in ({"node.hostname": "ip-2"}, {"node.name": "worker-2"}, {"ccnodeid": "Id-2"}):
        demand = world.plan([Job("a", wish)], nodes)
        assert [dict(verdict.jobs) for verdict in demand.nodes] == [{}, {"a": 1}]
