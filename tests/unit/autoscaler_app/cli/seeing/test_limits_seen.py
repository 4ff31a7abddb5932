"""`limits`: every ceiling with what it leaves, those that bind first."""

from __future__ import annotations

from autoscaler_app.cli.seeing import limits
from scalelib.bucket import Bucket, Pool, PoolKind
from scalelib.provider import Cloud

SMALL, LARGE = (
    Bucket(
        id=size,
        nodearray="worker",
        vm_size=size,
        spot=size == "large",
        vcpu_count=cores,
        pcpu_count=cores,
        memory_gib=4.0,
        pools={"cluster": cores, f"bucket/{size}": cores, "family/x": cores},
    )
    for size, cores in (("small", 2), ("large", 16))
)
CLOUD = Cloud(
    cluster="c",
    nodes=(),
    buckets=(SMALL, LARGE),
    pools=(
        Pool(name="family/x", kind=PoolKind.FAMILY, cores=16),
        Pool(name="bucket/small", kind=PoolKind.BUCKET, nodes=3),
        Pool(name="bucket/large", kind=PoolKind.BUCKET),
        Pool(name="cluster", kind=PoolKind.CLUSTER, cores=400),
    ),
)


def test_each_ceiling_says_what_it_leaves_and_for_whom_it_is_the_one_that_binds() -> None:
    found = {each.name: each for each in limits.of(CLOUD)}
    assert list(found) == ["bucket/small", "family/x", "cluster"], "those that bind come first"
    assert found["family/x"].binds == ("worker/large spot",)
    assert found["bucket/small"].binds == ("worker/small",)
    assert (found["cluster"].binds, len(found["cluster"].over)) == ((), 2)
    assert (found["bucket/small"].nodes_left, found["bucket/small"].cores_left) == (3, None)


def test_as_a_table() -> None:
    lines = limits.text(limits.of(CLOUD)).splitlines()
    assert lines[0].split() == ["LIMIT", "NAME", "NODES", "LEFT", "CORES", "LEFT", "BINDS"]
    assert lines[1].split()[:3] == ["bucket", "worker/small", "3"], "not by its id in the cloud"
    assert lines[2].split() == ["quota-family", "x", "16", "worker/large", "spot"]
