"""From a status answer to the pools that buckets share, and what is left in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cyclecloud_api.inventory import cloud_from_status
from cyclecloud_api.limits import family
from scalelib.bucket import PoolKind
from scalelib.provider import Cloud

Make = Callable[..., dict[str, Any]]
PRICES = {"Standard_D4s_v5": 0.2, "Standard_D4s_v5/spot": 0.05}


def cloud_of(raw: dict[str, Any], **config: Any) -> Cloud:
    return cloud_from_status(raw, cluster="c", prices=PRICES, config=config)


def left(cloud: Cloud) -> dict[str, tuple[int | None, int | None]]:
    return {p.name: (p.nodes, p.cores) for p in cloud.pools}


def test_the_worked_example_of_the_reference_adds_up(status: Make, array: Make, bucket: Make) -> None:
    """44 cores are left, shared by two sizes of one family: 11 of four cores, or 5 of eight."""
    quota = {
        "familyQuotaCoreCount": 100,
        "familyConsumedCoreCount": 44,
        "regionalQuotaCoreCount": 350,
        "regionalConsumedCoreCount": 120,
    }
    d4 = bucket("Standard_D4s_v5", 4, maxCount=16, activeCount=3, availableCount=11, **quota)
    d8 = bucket("Standard_D8s_v5", 8, maxCount=8, activeCount=1, availableCount=5, **quota)
    worker = {**array("worker", d4, d8), "maxCount": 16, "maxCoreCount": 64}
    cloud = cloud_of(status(worker, maxCount=1000, maxCoreCount=1000))
    assert left(cloud) == {
        "cluster": (996, 980),
        "nodearray/worker": (12, 44),
        "bucket/id-Standard_D4s_v5": (11, None),
        "bucket/id-Standard_D8s_v5": (5, None),
        "family/westeurope/dsv5": (None, 56),
        "regional/westeurope": (None, 230),
    }
    assert [dict(b.pools) for b in cloud.buckets] == [
        {
            "cluster": n,
            "nodearray/worker": n,
            f"bucket/id-{size}": n,
            "family/westeurope/dsv5": n,
            "regional/westeurope": n,
        }
        for size, n in (("Standard_D4s_v5", 4), ("Standard_D8s_v5", 8))
    ]


def test_every_pool_that_a_bucket_names_exists_and_names_are_unique(
    status: Make, array: Make, bucket: Make
) -> None:
    cloud = cloud_of(status(array(), array("spotty", bucket("Standard_F2s_v2", 2, bucketId="s"), spot=True)))
    names = [p.name for p in cloud.pools]
    assert len(set(names)) == len(names)
    assert {name for b in cloud.buckets for name in b.pools} <= set(names)


def test_family_fields_of_zero_on_spot_are_no_quota(status: Make, array: Make, bucket: Make) -> None:
    spot = bucket(
        familyQuotaCoreCount=0,
        familyConsumedCoreCount=0,
        regionalQuotaCoreCount=100,
        regionalConsumedCoreCount=8,
        availableCount=6,
    )
    cloud = cloud_of(status(array("worker", bucket(bucketId="r")), array("spot", spot, spot=True)))
    by_name = {p.name: p for p in cloud.pools}
    assert by_name["spot/westeurope"].kind is PoolKind.SPOT
    assert by_name["spot/westeurope"].cores == 92
    spot_bucket, regular = cloud.buckets[1], cloud.buckets[0]
    assert spot_bucket.spot
    assert spot_bucket.price_per_hour == 0.05
    assert not any(name.startswith("family") for name in spot_bucket.pools)
    assert "regional/westeurope" in regular.pools
    assert "regional/westeurope" not in spot_bucket.pools


def test_a_family_quota_of_zero_on_regular_machines_is_a_quota(
    status: Make, array: Make, bucket: Make
) -> None:
    cloud = cloud_of(
        status(array("worker", bucket(familyQuotaCoreCount=0, familyConsumedCoreCount=0, availableCount=9)))
    )
    assert [p.cores for p in cloud.pools if p.kind is PoolKind.FAMILY] == [0]


def test_families_with_equal_numbers_are_kept_apart_by_their_names(
    status: Make, array: Make, bucket: Make
) -> None:
    cloud = cloud_of(
        status(
            array("worker", bucket("Standard_D4s_v5"), bucket("Standard_F4s_v2"), bucket("Standard_D2_v5"))
        )
    )
    assert [p.name for p in cloud.pools if p.kind is PoolKind.FAMILY] == [
        "family/westeurope/dsv5",
        "family/westeurope/fsv2",
        "family/westeurope/dv5",
    ]


def test_the_same_family_in_two_regions_has_two_quotas(status: Make, array: Make, bucket: Make) -> None:
    there = array("there", bucket(bucketId="x"), Region="eastus")
    cloud = cloud_of(status(array(), there))
    assert {p.name for p in cloud.pools if p.kind is PoolKind.FAMILY} == {
        "family/westeurope/dsv5",
        "family/eastus/dsv5",
    }


def test_constrained_core_sizes_charge_quotas_for_all_their_cores(
    status: Make, array: Make, bucket: Make
) -> None:
    machine = {"vcpuCount": 4, "pcpuCount": 2, "gpuCount": 0, "memory": 64, "vcpuQuotaCount": 16}
    taken = cloud_of(status(array("worker", bucket("Standard_E16-4s_v5", virtualMachine=machine)))).buckets[0]
    assert taken.pools["cluster"] == 4
    assert taken.pools["nodearray/worker"] == 4
    assert taken.pools["regional/westeurope"] == 16
    assert taken.pools["family/westeurope/esv5"] == 16


def test_nodes_on_their_way_out_count_though_the_server_forgets_them(
    status: Make, array: Make, bucket: Make, node: Make
) -> None:
    leaving = [node(i, Status="Terminating", TargetState="Terminated") for i in range(1, 4)]
    worker = array("worker", bucket(maxCount=5, activeCount=0, availableCount=5))
    cloud = cloud_of(status(worker, nodes=leaving))
    assert left(cloud)["bucket/id-Standard_D4s_v5"] == (2, None)
    assert left(cloud)["nodearray/worker"] == (97, 988)
    assert left(cloud)["cluster"] == (197, 1988)


def test_the_servers_count_holds_if_it_is_higher(status: Make, array: Make, bucket: Make, node: Make) -> None:
    worker = array("worker", bucket(maxCount=5, activeCount=4, activeCoreCount=16, availableCount=0))
    found = left(cloud_of(status(worker, nodes=[node(1)])))
    assert found["bucket/id-Standard_D4s_v5"] == (0, None)
    assert found["nodearray/worker"] == (96, 984)


def test_nothing_is_ever_less_than_zero(status: Make, array: Make, bucket: Make) -> None:
    over = bucket(
        maxCount=1,
        activeCount=9,
        activeCoreCount=36,
        availableCount=-3,
        familyQuotaCoreCount=1,
        familyConsumedCoreCount=50,
        regionalQuotaCoreCount=1,
        regionalConsumedCoreCount=50,
    )
    worker = {**array("worker", over), "maxCount": 1, "maxCoreCount": 1}
    cloud = cloud_of(status(worker, maxCount=1, maxCoreCount=1))
    assert all((p.nodes or 0) == 0 and (p.cores or 0) == 0 for p in cloud.pools)


def test_our_own_nodes_count_against_a_quota_that_the_server_polled_before_them(
    status: Make, node: Make
) -> None:
    cloud = cloud_of(status(nodes=[node(i) for i in range(1, 11)]))
    assert left(cloud)["family/westeurope/dsv5"] == (None, 960)


def test_what_old_servers_do_not_send_is_no_ceiling(status: Make, array: Make) -> None:
    old = {
        "definition": {"machineType": "Standard_D4s_v5"},
        "virtualMachine": {"vcpuCount": 4, "memory": 16},
        "availableCount": 7,
    }
    raw = status(array("worker", old))
    del raw["maxCount"], raw["nodearrays"][0]["maxCoreCount"]
    cloud = cloud_of(raw)
    assert left(cloud) == {
        "cluster": (None, 2000),
        "nodearray/worker": (100, None),
        "bucket/worker/Standard_D4s_v5": (7, None),
    }
    assert cloud.buckets[0].pcpu_count == 4
    assert cloud.buckets[0].valid


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Standard_D4s_v5", "standard_d16s_V5"),
        ("Standard_E16-4s_v5", "Standard_E8s_v5"),
        ("Standard_NC4as_T4_v3", "Standard_NC64as_T4_v3"),
        ("Standard_HB120rs_v3", "Standard_HB120-16rs_v3"),
        ("Standard_M8ms", "Standard_M64s"),
        ("Standard_B2ms", "Standard_B1s"),
        ("Standard_NV36adms_A10_v5", "Standard_NV6ads_A10_v5"),
        ("Standard_ND96isr_H100_v5", "Standard_ND96is_H100_v5"),
        ("Standard_E96iads_v6", "Standard_E8ads_v6"),
        ("Standard_M192ims_v2", "Standard_M192is_v2"),
        ("Standard_M416s_6_v3", "Standard_M832s_12_v3"),
        ("Standard_M12s_v3", "Standard_M176s_3_v3"),
    ],
)
def test_sizes_of_one_family(one: str, other: str) -> None:
    assert family(one) == family(other)


def test_sizes_of_different_families() -> None:
    sizes = [
        "D4s_v3",
        "D4s_v5",
        "D4_v5",
        "D4as_v5",
        "DS2_v2",
        "NC4as_T4_v3",
        "NC24ads_A100_v4",
        "NC6s_v3",
        "E64s_v3",
        "E64is_v3",
        "E96ias_v4",
        "E96as_v4",
        "M192is_v2",
        "M416s_v2",
        "M416s_6_v3",
        "M176s_4_v3",
        "M176ds_4_v3",
        "odd",
    ]
    assert len({family(f"Standard_{size}") for size in sizes}) == len(sizes)


def test_of_two_statements_on_one_family_the_tighter_holds(status: Make, array: Make, bucket: Make) -> None:
    """The server tells of them at different moments."""
    one = bucket(bucketId="x1", familyQuotaCoreCount=40, familyConsumedCoreCount=20)
    other = bucket(bucketId="x2", familyQuotaCoreCount=40, familyConsumedCoreCount=24)
    cloud = cloud_of(status(array("a", one), array("b", other, Region="West Europe")))
    assert [p.cores for p in cloud.pools if p.kind is PoolKind.FAMILY] == [16]


def test_each_subscription_has_quotas_of_its_own(status: Make, array: Make, bucket: Make) -> None:
    full = bucket(bucketId="x2", regionalQuotaCoreCount=8, regionalConsumedCoreCount=8)
    cloud = cloud_of(status(array("a", AccountName="one"), array("b", full, AccountName="two")))
    assert [p.cores for p in cloud.pools if p.kind is PoolKind.REGIONAL][1] == 0
    assert len({name for b in cloud.buckets for name in b.pools if name.startswith("regional/")}) == 2
