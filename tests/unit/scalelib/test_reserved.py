"""A nodearray can be reserved for work that asks for what it has; machines with GPUs are so by default."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scalelib.bucket import Pool, PoolKind
from scalelib.demand import NodeReason, UnservedReason
from scalelib.errors import InvalidConfig
from scalelib.job import Job
from scalelib.planner import Fitting
from scalelib.policy import Policy


def policy(**config: Any) -> Policy:
    return Policy.from_config({"solver": False, **config})


def told(**said: Any) -> Policy:
    """With this said of the nodearray `worker`."""
    return policy(nodearrays={"WORKER": said})


@pytest.fixture
def gpus(world: Any) -> Any:
    """A cluster that has nothing but machines with GPUs."""
    return replace(world, sizes=("NC6",))


@pytest.mark.parametrize(
    "asked",
    [
        {"ngpus": 1},
        {"ncpus": 2, "ngpus": 1},
        {"ncpus": 2, "node.vm_size": "NC6"},
        {"ncpus": 2, "nodearray": "worker"},
        {"node.gpu_count": 1},
        {"or": [{"ncpus": 99}, {"ngpus": 1}]},
        {"gputype": "T4"},  # a rule gives it to these machines alone
    ],
)
@pytest.mark.parametrize(
    "more", [{}, {"node_count": 2}, {"exclusive": True}, {"colocated": True, "node_count": 2}]
)
def test_who_asks_for_what_a_gpu_machine_has_gets_one(world: Any, asked: Any, more: Any) -> None:
    rules = [{"select": {"ngpus": 1}, "name": "gputype", "value": "T4"}] if "gputype" in asked else []
    rules = [{"select": {"node.gpu_count": 1}, "name": "gputype", "value": "T4"}] if rules else rules
    demand = world.plan([Job("a", asked, **more)], policy=policy(default_resources=rules))
    assert demand.unserved == ()


@pytest.mark.parametrize(
    "asked",
    [
        {"ncpus": 1},
        {},
        {"memgb": 40},
        {"ngpus": 0},
        {"not": {"node.vm_size": "F2"}},
        {"nodearray": "worker*", "ncpus": 1},
    ],
)
def test_who_does_not_buys_none_unless_told_that_it_may(gpus: Any, asked: Any) -> None:
    named = "nodearray" in asked
    demand = gpus.plan([Job("a", asked)], policy=policy())
    assert (demand.new_count, [u.reason for u in demand.unserved]) == (
        (1, []) if named else (0, [UnservedReason.RESERVED])
    )
    if not named:
        assert "NC6" in demand.unserved[0].detail
        assert '"reserved": false in nodearrays.worker' in demand.unserved[0].detail
    assert gpus.plan([Job("a", asked)], policy=told(reserved=False)).new_count == 1
    assert (
        gpus.plan([Job("a", asked)], policy=policy(nodearrays={"default": {"reserved": False}})).new_count
        == 1
    )


def test_the_one_that_is_named_may_be_had(world: Any) -> None:
    """Not one that is set aside, which nobody would get if it were not reserved either."""
    world = replace(world, sizes=("E8", "NC6"))
    aside = {"E8": {"set_aside": "none to be had"}}
    world.bucket = lambda size, made=world.bucket: made(size, **aside.get(size, {}))
    reserving = policy(nodearrays={"default": {"reserved": ["dongle"]}})
    (left,) = world.plan([Job("a", {"memgb": 40})], policy=reserving).unserved
    assert (left.reason, left.detail.split()[0]) == (UnservedReason.RESERVED, "NC6")


def test_the_one_that_is_named_has_room(world: Any) -> None:
    """Allowing others there is to help."""
    world = replace(world, sizes=("E8", "NC6"))
    full = Pool(name="bucket/E8", kind=PoolKind.BUCKET, nodes=0)
    pools = (full, *(pool for pool in world.pools() if pool.name != full.name))
    reserving = policy(nodearrays={"default": {"reserved": ["dongle"]}})
    (left,) = world.plan([Job("a", {"memgb": 40})], policy=reserving, pools=pools).unserved
    assert (left.detail.split()[0], "besides" in left.detail) == ("NC6", False)


@pytest.mark.parametrize(
    ("cores", "changes", "besides"),
    [
        (5, {}, "the cluster 'cluster' has 5 cores left, and one NC6 in nodearray 'worker' takes 6"),
        (6, {"set_aside": "none to be had"}, "it gets no new machines now: none to be had"),
        (6, {"valid": False, "invalid_reason": "Retired"}, "it gets no new machines now: Retired"),
    ],
)
def test_what_else_is_in_the_way_is_told(
    gpus: Any, cores: int, changes: dict[str, Any], besides: str
) -> None:
    """Allowing others there would not help by itself."""
    only = replace(gpus, sizes=("NC6",), cluster_cores=cores)
    only.bucket = lambda size, made=only.bucket: made(size, **changes)
    (left,) = only.plan([Job("a", {"ncpus": 1})], policy=policy()).unserved
    assert (left.reason, left.detail.split("; besides, ")[1:]) == (UnservedReason.RESERVED, [besides])


def test_a_gpu_machine_that_is_there_is_kept_for_gpu_work(world: Any) -> None:
    """Ready and empty, or with a GPU job on it: other work buys a machine of its own, and leaves it idle."""
    nodes = [world.node(1, "NC6"), world.node(2, "NC6")]
    jobs = [Job("gpu", {"ngpus": 1}, executing_hostnames=["ip-1"]), Job("cpu", {"ncpus": 1})]
    demand = world.plan(jobs, nodes, policy=policy())
    assert [verdict.reason for verdict in demand.nodes] == [NodeReason.RUNNING, NodeReason.IDLE]
    assert [launch.vm_size for launch in demand.launches] == ["F2"]
    assert Fitting([Job("q", {"ncpus": 1}), Job("g", {"ngpus": 1})], policy(), world.buckets()).on(
        nodes[1]
    ) == ("g",)
    allowed = world.plan(jobs, nodes, policy=told(reserved=False))
    assert allowed.launches == ()


def test_work_that_runs_on_a_gpu_machine_stays_and_is_no_reason_to_keep_the_machine(world: Any) -> None:
    demand = world.plan(
        [Job("cpu", {"ncpus": 1}, executing_hostnames=["ip-1"])], [world.node(1, "NC6")], policy=policy()
    )
    assert (demand.nodes[0].reason, demand.nodes[0].needed) == (NodeReason.RUNNING, False)


def test_any_nodearray_may_be_reserved(world: Any) -> None:
    """For those who name it, who ask for what only such machines have, or for resources by name."""
    licensed = tuple(
        replace(b, nodearray="licensed", resources={"dongle": 1}) if b.id == "F2" else b
        for b in world.buckets()
    )
    usual, mine = Job("usual", {"ncpus": 1}), Job("mine", {"ncpus": 1, "dongle": 1})
    array = Job("array", {"ncpus": 1, "nodearray": "licensed"})
    for said, expected in (
        (None, {"usual": "F2", "mine": "F2", "array": "F2"}),
        (True, {"usual": "F4", "mine": "F2", "array": "F2"}),
        (["dongle"], {"usual": "F4", "mine": "F2", "array": "F2"}),
    ):
        rule = {} if said is None else {"nodearrays": {"licensed": {"reserved": said}}}
        for job in (usual, mine, array):
            (launch,) = world.plan([job], buckets=licensed, policy=policy(**rule)).launches
            assert launch.vm_size == expected[job.name], (said, job.name)


def test_a_host_that_only_the_scheduler_knows_is_for_everybody(world: Any) -> None:
    host = replace(world.node(1, "NC6"), managed=False, nodearray="", bucket_id="")
    assert dict(world.plan([Job("a", {"ncpus": 1})], [host], policy=policy()).nodes[0].jobs) == {"a": 1}


@pytest.mark.parametrize("said", ["yes", [], [3], 1])
def test_what_cannot_be_meant_is_refused(said: Any) -> None:
    with pytest.raises(InvalidConfig, match=r"nodearrays\.WORKER\.reserved"):
        told(reserved=said)
