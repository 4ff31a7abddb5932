"""What constraints are tried on: a node that exists, or one that a bucket could give, seen alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from scalelib.amounts import MEMORY_UNITS, shown
from scalelib.bucket import Bucket
from scalelib.node import Node, ResourceValue

_GIB: Final = MEMORY_UNITS["memgb"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """A machine's properties, resources and amounts."""

    label: str
    """How messages call it."""
    properties: Mapping[str, ResourceValue]
    resources: Mapping[str, ResourceValue]
    total: Mapping[str, int]
    """Its amounts, per counter, while nothing runs there (see `scalelib.amounts`)."""


def of_node(node: Node, vm_family: str = "") -> dict[str, ResourceValue]:
    """The properties of a node."""
    return {
        "name": node.name,
        "node_id": node.id,
        "nodearray": node.nodearray,
        "bucket_id": node.bucket_id,
        "vm_size": node.vm_size,
        "vm_family": vm_family,
        "hostname": node.hostname,
        "hostname_or_uuid": node.hostname or node.id,
        "private_ip": node.private_ip,
        "instance_id": node.instance_id,
        "location": node.location,
        "spot": node.spot,
        "vcpu_count": node.vcpu_count,
        "pcpu_count": node.pcpu_count,
        "gpu_count": node.gpu_count,
        "memory": int(node.memory_gib * _GIB),
        "infiniband": node.infiniband,
        "colocated": node.placement_group is not None,
        "placement_group": node.placement_group,
        "state": node.state.value,
        "exists": True,
        "keep_alive": node.keep_alive,
        "managed": node.managed,
    }


def of_bucket(bucket: Bucket, placement_group: str | None) -> dict[str, ResourceValue]:
    """The properties of a node that the bucket would give."""
    return {
        "name": None,
        "node_id": None,
        "nodearray": bucket.nodearray,
        "bucket_id": bucket.id,
        "vm_size": bucket.vm_size,
        "vm_family": family_of(bucket),
        "hostname": None,
        "hostname_or_uuid": None,
        "private_ip": None,
        "instance_id": None,
        "location": bucket.location,
        "spot": bucket.spot,
        "vcpu_count": bucket.vcpu_count,
        "pcpu_count": bucket.pcpu_count,
        "gpu_count": bucket.gpu_count,
        "memory": int(bucket.memory_gib * _GIB),
        "infiniband": bucket.infiniband,
        "colocated": placement_group is not None,
        "placement_group": placement_group,
        "state": None,
        "exists": False,
        "capacity_failed": bucket.capacity_failed,
        "keep_alive": False,
        "managed": True,
    }


def family_of(bucket: Bucket) -> str:
    """The quota family, read from the name of the pool that holds it (`family/…/<family>`)."""
    return next((pool.rsplit("/", 1)[1] for pool in bucket.pools if pool.startswith("family/")), "")


def label_of(bucket: Bucket) -> str:
    """How messages call a bucket."""
    return f"{bucket.vm_size} in nodearray {shown(bucket.nodearray)}" + (" (spot)" if bucket.spot else "")
