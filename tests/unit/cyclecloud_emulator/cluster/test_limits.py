"""Limits combine as section 4 of the API facts says."""

import pytest


def test_numbers_of_the_worked_example(make_world):
    """16 nodes and 64 cores, three D4 and one D8 in use: 11 more D4 or 5 more D8, sharing 44 cores."""
    world = make_world()
    world.create(3)
    world.create(1, size="D8")
    d4, d8 = world.bucket("D4"), world.bucket("D8")
    assert (d4["maxCount"], d4["activeCount"], d4["availableCount"]) == (16, 3, 11)
    assert (d8["maxCount"], d8["activeCount"], d8["availableCount"]) == (8, 1, 5)
    assert (d4["availableCoreCount"], d8["availableCoreCount"]) == (44, 40)
    assert d4["consumedCoreCount"] == d8["familyConsumedCoreCount"] == 24 + 20
    assert d4["regionalConsumedCoreCount"] == 100 + 20
    assert (d4["quotaCount"], d8["quotaCount"]) == (25, 12)
    assert (d4["regionalQuotaCount"], d8["regionalQuotaCount"]) == (87, 43)
    assert sorted(d4["activeNodes"]) == ["worker-1", "worker-2", "worker-3"]


def test_buckets_share_their_pools(world):
    """Taking every core with one size leaves nothing for the other."""
    assert world.create(11 + 5)["added"] == 16
    assert world.bucket("D8")["availableCount"] == 0


@pytest.mark.parametrize(
    ("change", "available"),
    [
        ({"clusters": {"c": {"max_count": 3}}}, 3),
        ({"clusters": {"c": {"max_core_count": 11}}}, 2),
        ({"clusters": {"c": {"nodearrays": {"worker": {"max_count": 5}}}}}, 5),
        ({"clusters": {"c": {"nodearrays": {"worker": {"max_core_count": 27}}}}}, 6),
        ({"families": {"Dv5": {"cores": 32}}}, 2),
        ({"regional": {"cores": 130}}, 7),
        ({"families": {"Dv5": {"cores": 10}}}, 0),
    ],
    ids=["cluster nodes", "cluster cores", "array nodes", "array cores", "family", "region", "over-used"],
)
def test_the_tightest_ceiling_wins_and_none_goes_below_zero(make_world, change, available):
    bucket = make_world(**change).bucket("D4")
    assert bucket["availableCount"] == available
    assert bucket["availableCoreCount"] == available * 4


def test_spot_has_a_pool_of_its_own_and_family_fields_are_zero(world):
    world.create(16)
    world.create(2, nodearray="spot")
    bucket = world.bucket("D4", "spot")
    assert bucket["availableCount"] == 6
    assert bucket["familyQuotaCoreCount"] == bucket["familyConsumedCoreCount"] == 0
    assert (bucket["regionalQuotaCoreCount"], bucket["regionalConsumedCoreCount"]) == (100, 8)
    assert world.bucket("D4")["regionalConsumedCoreCount"] == 100 + 64


def test_constrained_sizes_are_charged_by_their_quota_cores(make_world):
    world = make_world(sizes={"D4": {"quota_vcpus": 8}})
    assert world.bucket("D4")["availableCount"] == (100 - 24) // 8
    assert world.bucket("D4")["virtualMachine"]["vcpuQuotaCount"] == 8
    world.create(1)
    assert world.bucket("D4")["familyConsumedCoreCount"] == 24 + 8
    assert world.bucket("D4")["activeCoreCount"] == 4


def test_nodes_on_their_way_out_still_count(world):
    world.create(16)
    world.manage("terminate", names=["worker-1"])
    assert world.bucket("D4")["availableCount"] == 0
    world.wait(2)
    assert world.bucket("D4")["availableCount"] == 1


def test_switch_leaves_nodes_on_their_way_out_uncounted(make_world):
    world = make_world(quirks={"available_ignores_terminating": True})
    world.create(16)
    world.manage("terminate", names=["worker-1"])
    assert world.bucket("D4")["availableCount"] == 1


def test_a_placement_group_has_a_ceiling_of_its_own(make_world):
    world = make_world(clusters={"c": {"nodearrays": {"worker": {"max_placement_group_size": 3}}}})
    assert world.create(5, placementGroupId="pg0") == {
        "added": 3,
        "message": "Only 3 of 5 nodes fit in the placement group pg0",
    }
    assert world.bucket("D4")["placementGroups"] == [{"name": "pg0", "activeCount": 3, "activeCoreCount": 12}]
    assert world.bucket("D4")["availableCount"] == 13


def test_consumed_numbers_may_be_old(make_world):
    world = make_world(quirks={"quota_age_seconds": 60})
    assert world.bucket()["consumedCoreCount"] == 24
    world.create(2)
    assert world.bucket()["consumedCoreCount"] == 24
    world.wait(60)
    assert world.bucket()["consumedCoreCount"] == 24 + 8


def test_a_disabled_size_is_shown_only_while_it_holds_nodes(make_world):
    arrays = {"worker": {"sizes": ["D4"], "disabled_sizes": {"D8": "NotActivated"}}}
    world = make_world(clusters={"c": {"nodearrays": arrays}})
    names = [
        b["definition"]["machineType"] for b in world.get("/clusters/c/status")["nodearrays"][0]["buckets"]
    ]
    assert names == ["D4"]
    assert world.ask("POST", "/clusters/c/nodes/create", {
        "sets": [{"nodearray": "worker", "count": 1, "definition": {"machineType": "D8"}}]
    }).status == 409  # fmt: skip
