"""Properties of a node that a constraint may name as `node.<property>`."""

from __future__ import annotations

from typing import Final

PROPERTIES: Final[dict[str, str]] = {
    "name": "the node's name in the cluster; none before it exists",
    "node_id": "the node's id; none before it exists",
    "nodearray": "the nodearray that it belongs to",
    "bucket_id": "the id of its bucket",
    "vm_size": "the size of the machine, as in Standard_F2s_v2",
    "vm_family": "the quota family, as the cloud spells it",
    "hostname": "its short host name; none before it is configured",
    "hostname_or_uuid": "its host name, or its id until it has one",
    "private_ip": "its private address; none before it is configured",
    "instance_id": "the id of the machine under it",
    "location": "the region, as in westeurope",
    "spot": "true if it may be evicted",
    "vcpu_count": "virtual CPUs",
    "pcpu_count": "physical CPUs",
    "gpu_count": "GPUs",
    "memory": "main memory, as a number of bytes or a text such as memory::16g",
    "infiniband": "true if it has InfiniBand",
    "colocated": "true if it is in a placement group",
    "placement_group": "its placement group; null if it is in none",
    "state": "its state, as in Ready; none before it exists",
    "exists": "true for a node that is there already, false for one that would be launched",
    "keep_alive": "true if it is never to be ended",
    "managed": "false for a host that only the scheduler knows",
}
"""Each property with what it means."""

NAMES_OF_THE_CLOUD: Final = frozenset(
    {"nodearray", "vm_size", "vm_family", "location", "placement_group", "instance_id", "bucket_id"}
)
"""Properties whose values the cloud compares without regard to case."""

PER_NODE: Final = frozenset(
    {"name", "node_id", "hostname", "hostname_or_uuid", "private_ip", "instance_id", "state", "keep_alive"}
)
"""Properties that differ between nodes that are alike in everything else."""
