"""One kind of machine after the other: what it would hold of a job, and why not."""

from __future__ import annotations

from dataclasses import replace

from scalelib.job import Job
from scalelib.policy import Policy
from scalelib.trying import tried
from tests.unit.scalelib.conftest import NOW, SIZES, World


def on(world: World, job: Job, **changes: object) -> dict[str, tuple[int, str, str]]:
    buckets = [replace(bucket, **changes) for bucket in world.buckets()]  # type: ignore[arg-type]
    found = tried(job, buckets, world.policy, NOW)
    assert [each.bucket.id for each in found] == list(SIZES), "in the cloud's order"
    return {each.bucket.id: (each.slots, each.why_not, each.now_not) for each in found}


def test_a_machine_holds_as_many_as_have_room_and_the_others_say_what_is_in_the_way(world: World) -> None:
    found = on(world, Job("j", {"ncpus": 4}))
    for size, (vcpus, *_) in SIZES.items():
        slots, why_not, now_not = found[size]
        assert slots == vcpus // 4
        assert bool(why_not) == (not slots)
        assert not now_not
    assert "ncpus" in found["F2"][1]


def test_limits_and_what_is_set_aside_are_not_what_a_machine_could_hold(world: World) -> None:
    free, now = on(world, Job("j", {"ncpus": 1})), on(world, Job("j", {"ncpus": 1}), set_aside="no capacity")
    assert {size: slots for size, (slots, *_) in free.items()} == {
        size: slots for size, (slots, *_) in now.items()
    }
    assert {now_not for _, _, now_not in now.values()} == {"no capacity"}
    closed = on(world, Job("j", {"ncpus": 1}), valid=False)
    assert {now_not for _, _, now_not in closed.values()} == {"it may not get new nodes"}
    full = on(replace(world, most_nodes=0, cluster_cores=0), Job("j", {"ncpus": 1}))
    assert full == free


def test_a_gang_is_held_if_one_placement_group_has_room_for_all_of_it(world: World) -> None:
    gang = Job("j", {"ncpus": 2}, node_count=5, colocated=True)
    slots, why_not, _ = on(world, gang)["F2"]
    assert (slots, why_not) == (1, "")
    slots, why_not, _ = on(world, gang, max_placement_group_size=4)["F2"]
    assert slots == 0
    assert "holds at most 4 nodes" in why_not


def test_an_exclusive_job_has_the_machine_to_itself(world: World) -> None:
    found = on(world, Job("j", {"ncpus": 1}, exclusive=True))
    assert {slots for slots, *_ in found.values()} == {1}


def test_a_warm_pool_adds_nothing(world: World) -> None:
    warm = Policy.from_config({"warm_pool": {"buffer": 3}})
    found = tried(Job("j", {"ncpus": 3}), world.buckets(), warm, NOW)
    assert [each.slots for each in found if each.bucket.id == "F4"] == [1]


def test_without_prices_they_are_estimated_beside_each_other(world: World) -> None:
    priced = replace(world.bucket("F2"), price_per_hour=1.0)
    other = replace(world.bucket("F4"), price_per_hour=None)
    found = tried(Job("j"), [priced, other], Policy(), NOW)
    assert [each.price_per_hour for each in found] == [1.0, 2.0]
