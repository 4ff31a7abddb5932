"""How limits combine: pure arithmetic, from settings and what is in use to what may still be added."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from cyclecloud_emulator.cluster.node import Node
from cyclecloud_emulator.settings import Cluster, Nodearray, Settings


@dataclass(kw_only=True, slots=True)
class Usage:
    """Nodes and cores in use, under every heading that has a ceiling."""

    nodes: Counter[str] = field(default_factory=Counter)
    """By cluster."""
    cores: Counter[str] = field(default_factory=Counter)
    array_nodes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By cluster and nodearray."""
    array_cores: Counter[tuple[str, str]] = field(default_factory=Counter)
    bucket_nodes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """By cluster, nodearray and size."""
    group_nodes: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    """By cluster, nodearray, size and placement group."""
    family_cores: Counter[str] = field(default_factory=Counter)
    """Regular machines only, in every cluster."""
    regional_cores: int = 0
    spot_cores: int = 0

    def add(self, node: Node) -> None:
        """Count one more node."""
        self.nodes[node.cluster] += 1
        self.cores[node.cluster] += node.size.vcpus
        if node.spot:
            self.spot_cores += node.size.quota_cores
        else:
            self.family_cores[node.size.family] += node.size.quota_cores
            self.regional_cores += node.size.quota_cores
        array = (node.cluster, node.nodearray)
        self.array_nodes[array] += 1
        self.array_cores[array] += node.size.vcpus
        self.bucket_nodes[(*array, node.vm_size)] += 1
        if node.placement_group is not None:
            self.group_nodes[(*array, node.vm_size, node.placement_group)] += 1


def usage_of(nodes: Iterable[Node], *, but_leaving: bool = False) -> Usage:
    """Count what is in use; nodes on their way out too, unless told otherwise. Head nodes never count."""
    usage = Usage()
    for node in nodes:
        if node.nodearray and node.phase.in_use and not (but_leaving and node.phase.is_leaving):
            usage.add(node)
    return usage


@dataclass(frozen=True, kw_only=True, slots=True)
class BucketLimits:
    """Every number about limits that a bucket of the status answer holds. Cores are those of the size."""

    cores: int
    """vCPUs of one machine."""
    max_nodes: int
    active_nodes: int
    available_nodes: int
    quota_nodes: int
    quota_cores: int
    consumed_cores: int
    family_quota_nodes: int
    family_quota_cores: int
    family_consumed_cores: int
    regional_quota_nodes: int
    regional_quota_cores: int
    regional_consumed_cores: int


def bucket_limits(
    settings: Settings,
    cluster_name: str,
    array_name: str,
    size_name: str,
    *,
    usage: Usage,
    shown: Usage | None = None,
    throttled: bool = False,
    spot: bool | None = None,
) -> BucketLimits:
    """What one bucket may hold and still get.

    `shown` is the usage that the consumed numbers report, if the server's view of quotas is older than
    `usage`; the ceilings of the cluster and nodearray are the server's own and always fresh.
    """
    cluster: Cluster = settings.clusters[cluster_name]
    array: Nodearray = cluster.nodearrays[array_name]
    size = settings.sizes[size_name]
    spot = array.spot if spot is None else spot
    shown = shown or usage
    v, quota_v = size.vcpus, size.quota_cores

    if spot:
        family_cores = family_consumed = 0
        regional_cores = settings.spot.cores
        regional_consumed = settings.spot.used_by_others + shown.spot_cores
        quota_cores = regional_cores if settings.quirks.spot_quota == "regional" else 0
        consumed = regional_consumed
        left_by_quota = [regional_cores - regional_consumed]
        ceilings_by_quota = [regional_cores]
        others = [settings.spot.used_by_others]
    else:
        family = settings.families[size.family]
        family_cores, regional_cores = family.cores, settings.regional.cores
        family_consumed = family.used_by_others + shown.family_cores[size.family]
        regional_consumed = settings.regional.used_by_others + shown.regional_cores
        quota_cores, consumed = min(family_cores, regional_cores), family_consumed
        left_by_quota = [family_cores - family_consumed, regional_cores - regional_consumed]
        ceilings_by_quota = [family_cores, regional_cores]
        others = [family.used_by_others, settings.regional.used_by_others]

    if settings.quirks.max_count == "net":
        ceilings_by_quota = [
            max(0, most - other) for most, other in zip(ceilings_by_quota, others, strict=True)
        ]
    array_key = (cluster_name, array_name)
    available = min(
        (cluster.max_core_count - usage.cores[cluster_name]) // v,
        cluster.max_count - usage.nodes[cluster_name],
        (array.max_core_count - usage.array_cores[array_key]) // v,
        array.max_count - usage.array_nodes[array_key],
        *(left // quota_v for left in left_by_quota),
    )
    most = min(
        cluster.max_count,
        cluster.max_core_count // v,
        array.max_count,
        array.max_core_count // v,
        *(ceiling // quota_v for ceiling in ceilings_by_quota),
    )
    closed = throttled or size_name in array.disabled_sizes
    return BucketLimits(
        cores=v,
        max_nodes=most,
        active_nodes=usage.bucket_nodes[(*array_key, size_name)],
        available_nodes=0 if closed else max(0, available),
        quota_nodes=quota_cores // quota_v,
        quota_cores=quota_cores,
        consumed_cores=consumed,
        family_quota_nodes=family_cores // quota_v,
        family_quota_cores=family_cores,
        family_consumed_cores=family_consumed,
        regional_quota_nodes=regional_cores // quota_v,
        regional_quota_cores=regional_cores,
        regional_consumed_cores=regional_consumed,
    )


def room_in_group(array: Nodearray, usage: Usage, key: tuple[str, str, str, str]) -> int:
    """How many more machines fit into a placement group."""
    return max(0, array.max_placement_group_size - usage.group_nodes[key])
