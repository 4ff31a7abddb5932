"""Properties of a node that a constraint may name as `node.<property>`."""

from __future__ import annotations

from typing import Final

from scalelib.spelling import nearest

PROPERTIES: Final[dict[str, str]] = {
    "name": "the node's name in the cluster; none before it exists",
    "node_id": "the node's id; none before it exists",
    "nodearray": "the nodearray that it belongs to",
    "bucket_id": "the id of its bucket",
    "vm_size": "the size of the machine, as in Standard_F2s_v2",
    "vm_family": "the quota family, as in standardDSv5Family or dsv5",
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

ELSEWHERE: Final[dict[str, str]] = {
    "fqdn": "hosts are known by their short name here, as the cloud tells it: ask for node.hostname",
    "version": "the cloud does not tell it: make it a resource of the nodearray, or with default_resources",
    "cores_per_socket": "the cloud does not tell it: make it a resource, with default_resources",
    **dict.fromkeys(
        (f"{what}_time{unit}" for what in ("create", "last_match", "delete") for unit in ("", "_unix")),
        "when a node was made, last had work and went is in the node history, and no work is placed by it: "
        "see find_booting and find_unmatched_for",
    ),
    "create_time_remaining": "which nodes boot for too long, find_booting() says, by your boot_timeout",
}
"""Properties that users of scalelib know and that no node has here, each with what does it instead."""

NAMES_OF_THE_CLOUD: Final = frozenset(
    {"nodearray", "vm_size", "vm_family", "location", "placement_group", "instance_id", "bucket_id"}
)
"""Properties whose values the cloud compares without regard to case."""

PER_NODE: Final = frozenset(
    {"name", "node_id", "hostname", "hostname_or_uuid", "private_ip", "instance_id", "state", "keep_alive"}
)
"""Properties that differ between nodes that are alike in everything else."""


def unknown_property(name: str) -> str:
    """What is to be said to somebody who asks for a property that a node does not have."""
    if name in ELSEWHERE:
        return f"a node has no property {name!r} here: {ELSEWHERE[name]}"
    meant = nearest(name, PROPERTIES)
    hint = f"did you mean 'node.{meant}'?" if meant else f"there are {', '.join(sorted(PROPERTIES))}"
    return f"a node has no property {name!r}: {hint}"
