"""Placement groups in the engine: which there are, which may be begun, and who may be in them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scalelib.job import Job
from scalelib.node import NodeState
from scalelib.planning.gathering import Gathering
from scalelib.planning.groups import Groups
from scalelib.planning.limits import Limits
from scalelib.planning.plan import Planning
from scalelib.planning.scene import Scene
from scalelib.policy import Policy


def test_the_larger_count_of_a_placement_group_holds(world: Any) -> None:
    """The cloud's count and what is seen may both lag behind."""
    bucket = replace(world.bucket("F2"), max_placement_group_size=5, placement_groups={"a": 1, "b": 4})
    nodes = [replace(world.node(i), placement_group="a") for i in range(3)]
    limits = Limits(world.pools(), [bucket], nodes)
    assert (limits.room_in_group(bucket, "a"), limits.room_in_group(bucket, "b")) == (2, 1)
    assert limits.room(bucket, "c") == 5
    other = limits.fork()
    other.take(bucket, "a", 2)
    assert (limits.room(bucket, "a"), other.room(bucket, "a")) == (2, 0)


def test_made_up_group_names_hold_only_what_a_name_may_hold(world: Any) -> None:
    buckets = tuple(
        replace(world.bucket("F2"), id=f"b{spot}", vm_size="Standard F2/s.v2", spot=spot)
        for spot in (False, True)
    )
    demand = world.plan(
        [Job("g", {"ncpus": 2, "node.spot": [True]}, node_count=2, colocated=True)], buckets=buckets
    )
    assert [launch.placement_group for launch in demand.launches] == ["Standard_F2_s_v2_spot_pg0"]


def test_no_more_groups_than_allowed(world: Any) -> None:
    world.policy = Policy.from_config({"nodearrays": {"default": {"max_placement_groups": 1}}})
    bucket = replace(world.bucket("F2"), max_placement_group_size=2)
    demand = world.plan([Job("g", {"ncpus": 2}, 3, node_count=2, colocated=True)], buckets=(bucket,))
    assert [(launch.placement_group, launch.count) for launch in demand.launches] == [("F2_pg0", 2)]
    assert [(u.count, u.reason.value) for u in demand.unserved] == [(2, "placement-group")]


def test_the_sizes_of_a_nodearray_share_its_groups(world: Any) -> None:
    """A group that one size begins is one less for the others, within one plan as well."""
    world.policy = Policy.from_config({"nodearrays": {"default": {"max_placement_groups": 2}}})
    world.most_nodes = 2
    demand = world.plan([Job("g", {"ncpus": 2}, 4, node_count=2, colocated=True, exclusive=True)])
    assert [(launch.placement_group, launch.count) for launch in demand.launches] == [
        ("F2_pg0", 2),
        ("F4_pg0", 2),
    ]
    (unserved,) = demand.unserved
    assert (unserved.count, unserved.reason.value) == (2, "placement-group")
    assert "nodearray 'worker' has 2 placement groups" in unserved.detail
    assert "max_placement_groups" in unserved.detail


def test_a_group_asked_for_by_name_that_cannot_be_begun_now_is_no_misfit(world: Any) -> None:
    job = Job("g", {"ncpus": 1, "node.placement_group": "mine"})
    failing = [
        replace(b, failing_groups={"mine": "no capacity"}, placement_groups={"its": 1})
        for b in world.buckets()
    ]
    (unserved,) = world.plan([job], buckets=tuple(failing)).unserved
    assert (unserved.reason.value, "'mine'" in unserved.detail) == ("set-aside", True)
    world.policy = Policy.from_config({"nodearrays": {"default": {"max_placement_groups": 0}}})
    (unserved,) = world.plan([job]).unserved
    assert unserved.reason.value == "placement-group"


@pytest.mark.parametrize(
    "none", [{"node.placement_group": None}, {"in-a-placement-group": False}, {"node.colocated": [False]}]
)
def test_not_to_be_without_a_group_asks_for_one(world: Any, none: dict[str, Any]) -> None:
    (launch,) = world.plan([Job("a", {"ncpus": 1, "not": none})]).launches
    assert launch.placement_group == "F2_pg0"


@pytest.mark.parametrize("node_count", [0, 2])
@pytest.mark.parametrize(
    "constraints",
    [
        {"or": [{"in-a-placement-group": True, "ncpus": 2}, {"ncpus": 2}]},
        {"ncpus": 2, "node.placement_group": ["mine", None]},
    ],
)
def test_where_no_group_can_be_had_the_alternative_without_one_holds(
    world: Any, constraints: dict[str, Any], node_count: int
) -> None:
    job = Job("g", constraints, node_count=node_count)
    grouped = world.plan([job])
    assert [launch.placement_group is None for launch in grouped.launches] == [False]
    world.policy = Policy.from_config({"nodearrays": {"default": {"max_placement_groups": 0}}})
    demand = world.plan([job])
    assert (demand.unserved, [launch.placement_group for launch in demand.launches]) == ((), [None])
    (unserved,) = world.plan([Job("c", constraints, node_count=2, colocated=True)]).unserved
    assert unserved.reason.value == "placement-group"


def test_a_machine_in_a_group_that_is_there_comes_before_a_new_one_that_costs_nothing(world: Any) -> None:
    """Or the work would buy another one at each pass while its first one boots."""
    free = replace(world.bucket("F2"), price_per_hour=0.0)
    booting = world.node(1, "F2", NodeState.ACQUIRING, placement_group="later")
    demand = world.plan([Job("a", {"ncpus": 2}, colocated=True)], [booting], buckets=(free,))
    assert demand.launches == ()
    assert [dict(verdict.jobs) for verdict in demand.nodes] == [{"a": 1}]


@pytest.mark.parametrize(("told", "seen"), [(4, 1), (1, 4)], ids=["the cloud says more", "we see more"])
def test_of_two_counts_of_a_placement_group_the_larger_is_believed(world: Any, told: int, seen: int) -> None:
    """Both may lag behind: a node that was just asked for, or one that is on its way out."""
    bucket = replace(world.bucket("F2"), max_placement_group_size=5, placement_groups={"a": told})
    nodes = [world.node(number, placement_group="a") for number in range(seen)]
    limits = Limits(world.pools(), [bucket], nodes)
    assert limits.room_in_group(bucket, "a") == 1


def test_no_more_groups_are_begun_by_name_than_the_nodearray_may_have(world: Any) -> None:
    world.policy = Policy.from_config({"nodearrays": {"default": {"max_placement_groups": 2}}})
    bucket = world.bucket("F2")
    limits = Limits(world.pools(), [bucket], [])
    groups = Groups(world.policy, limits, [bucket])
    assert groups.fresh(bucket, ["a", "b", "c"]) == ["a", "b"]
    groups.note(bucket, "a")
    limits.take(bucket, "a", 1)
    assert groups.fresh(bucket, ["a", "b", "c"]) == ["b"]


def test_a_group_in_another_spelling_is_the_same_group(world: Any) -> None:
    """In the limits of a group, in who owns it, in what could be begun, and in what failed."""
    small = replace(
        world.bucket("F2"),
        max_placement_group_size=5,
        placement_groups={"Mine": 4},
        failing_groups={"Lost": "no capacity"},
    )
    large = world.bucket("F4")
    limits = Limits(world.pools(), [small, large], [])
    groups = Groups(world.policy, limits, [small, large])
    assert (limits.room_in_group(small, "mINE"), limits.room_in_group(small, "lost")) == (1, 0)
    assert limits.is_anothers(large, "mINE")
    assert not groups.may_begin(large, "mINE")
    assert groups.fresh(small, ["mINE", "LOST", "new"]) == ["new"]
    assert groups.fresh(large, ["mINE", "new"]) == ["new"]


def groups_of(world: Any, **changes: Any) -> tuple[Groups, Any]:
    bucket = replace(world.bucket("F2"), **changes)
    return Groups(world.policy, Limits(world.pools(), [bucket], []), [bucket]), bucket


def test_where_all_nodes_are_in_one_group_no_other_is_begun(world: Any) -> None:
    """Not one that is asked for, nor one of the settings, nor one that is made up when the one is full."""
    one = replace(world.bucket("F2"), fixed_placement_group="all", max_placement_group_size=2)
    jobs = [Job("g", {"ncpus": 2}, iterations=2, node_count=2, colocated=True)]
    demand = world.plan(jobs, buckets=(one,))
    assert [(launch.placement_group, launch.count) for launch in demand.launches] == [("all", 2)]
    assert [(left.count, left.reason.value) for left in demand.unserved] == [(1, "placement-group")]
    groups, bucket = groups_of(world, fixed_placement_group="all")
    assert (groups.fresh(bucket, []), groups.fresh(bucket, ["mine"])) == ([], [])


def test_no_group_that_fails_is_made_up(world: Any) -> None:
    """In any spelling; the next number is taken."""
    failing = {"failing_groups": {"f2_PG0": "no capacity", "F2_pg1": "no capacity"}}
    assert Groups.fresh(*groups_of(world, **failing), []) == ["F2_pg2"]
    (launch,) = world.plan(
        [Job("g", {"ncpus": 2}, node_count=2, colocated=True)],
        buckets=(replace(world.bucket("F2"), **failing),),
    ).launches
    assert launch.placement_group == "F2_pg2"


def test_a_group_that_is_there_in_another_spelling_is_not_counted_twice(world: Any) -> None:
    world.policy = Policy.from_config({"nodearrays": {"default": {"max_placement_groups": 1}}})
    groups, bucket = groups_of(world, placement_groups={"Mine": 1})
    assert groups.may_begin(bucket, "mINE")
    assert groups.may_begin_all(bucket, ["mINE"])
    groups.note(bucket, "mine")
    assert groups.full(bucket) == 1


def test_groups_that_have_names_wait_for_their_turn_once(world: Any) -> None:
    """A made-up one follows upon the one that was begun; those with names are all tried anyway."""
    groups, bucket = groups_of(world)
    groups.note(bucket, "F2_pg0")
    assert groups.after(bucket, []) == ["F2_pg1"]
    assert groups.after(bucket, ["mine", "yours"]) == []
    world.policy = Policy.from_config({"nodearrays": {"default": {"placement_groups": ["a", "b"]}}})
    assert Groups.after(*groups_of(world), []) == []


def test_where_no_groups_are_made_up_only_those_with_names_are_begun(world: Any) -> None:
    groups, bucket = groups_of(world, makes_groups=False)
    assert (groups.fresh(bucket, []), groups.fresh(bucket, ["mine"])) == ([], ["mine"])


def gathering(world: Any) -> tuple[Gathering, Any]:
    """Of a plan for gangs in groups of two sizes, nothing of it placed yet."""
    plan = Planning(Scene(world.problem([Job("g", {"ncpus": 2}, 2, node_count=2, colocated=True)])))
    (kind,) = plan.kinds
    together = plan.together
    return Gathering(
        fleet=plan.fleet,
        buckets=together.buckets,
        groups=together.groups,
        score=lambda choice, quick: (len(choice), 0.0, 0),
    ), kind


def test_two_sizes_do_not_begin_one_group_in_two_spellings(world: Any) -> None:
    found, _ = gathering(world)
    one, other = list(found.buckets)[:2]
    assert found.may_be([{(one, "a"): 1, (other, "b"): 1}])
    assert not found.may_be([{(one, "a"): 1, (other, "A"): 1}])


def test_choices_that_differ_in_the_names_of_new_groups_only_are_looked_at_once(world: Any) -> None:
    found, kind = gathering(world)
    bucket = next(iter(found.buckets))
    for first, second in (("a", "b"), ("b", "a"), ("x", "y")):
        found.score_of({kind: {(bucket, first): 2, (bucket, second): 1}}, True)
    assert len(found.known) == 1
    found.score_of({kind: {(bucket, "a"): 3}}, True)
    assert len(found.known) == 2
