"""Names compare as the cloud compares them, wherever they stand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from scalelib.bucket import Pool, PoolKind
from scalelib.errors import InvalidConfig
from scalelib.job import Job
from scalelib.planner import Problem, calculate
from scalelib.policy import Policy


def test_names_of_the_cloud_compare_as_the_cloud_does(world: Any) -> None:
    for asked in ({"node.vm_size": "f2"}, {"nodearray": "WORKER"}, {"node.nodearray": ["x", "Work*"]}):
        assert world.plan([Job("a", asked)]).new_count == 1, asked


def test_a_region_is_one_in_any_spelling(world: Any) -> None:
    world.bucket = lambda size, made=world.bucket: replace(made(size), location="westeurope")
    for asked in ("West Europe", "WESTEUROPE", ["eastus", "west europe"], "West*"):
        assert world.plan([Job("a", {"node.location": asked})]).new_count == 1, asked
    assert world.plan([Job("a", {"node.location": "West US"})]).new_count == 0


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("dsv5", "standardDSv5Family"),
        ("dsv5", "DSv5"),
        ("ncasv3_t4", "Standard NCASv3_T4 Family"),
        ("ncadsv4_a100", "StandardNCADSA100v4Family"),
        ("h", "standardHFamily"),
    ],
)
def test_a_family_is_one_in_any_spelling(world: Any, ours: str, theirs: str) -> None:
    pool = Pool(name=f"family/here/{ours}", kind=PoolKind.FAMILY, cores=100)
    bucket = replace(world.bucket("F2"), pools={pool.name: 2})
    jobs = (Job("right", {"node.vm_family": theirs}), Job("other", {"node.vm_family": "standardDSv4Family"}))
    demand = calculate(
        Problem(jobs=jobs, buckets=(bucket,), pools=(pool,), policy=world.policy, now=world.now)
    )
    assert [dict(launch.jobs) for launch in demand.launches] == [{"right": 1}]


def test_settings_by_name_are_found_in_any_spelling() -> None:
    policy = Policy.from_config(
        {
            "idle_timeout": {"GPU": 9},
            "priorities": {"Gpu": 4},
            "nodearrays": {"GPU": {"max_placement_groups": 3}},
        }
    )
    assert policy.idle_timeout("gpu") == timedelta(seconds=9)
    assert policy.priorities["gpu"] == 4
    assert policy.groups_of("gpu").most == 3


def test_one_name_in_two_spellings_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="'GPU' and 'gpu' are one name"):
        Policy.from_config({"idle_timeout": {"GPU": 9, "gpu": 5}})


def test_one_name_of_a_placement_group_is_one_group(world: Any) -> None:
    """All machines of a group are of one size: a second size does not get into it, whatever its spelling."""
    world.policy = Policy.from_config({"nodearrays": {"worker": {"placement_groups": ["pg"]}}})
    jobs = [Job(size, {"node.vm_size": size}, node_count=2, colocated=True) for size in ("F2", "F4")]
    demand = world.plan(jobs)
    assert [(launch.vm_size, launch.placement_group) for launch in demand.launches] == [("F2", "pg")]
    assert [unserved.job for unserved in demand.unserved] == ["F4"]
    there = world.node(1, "F4", placement_group="PG")
    assert [launch.vm_size for launch in world.plan(jobs, [there]).launches] == ["F4"]
