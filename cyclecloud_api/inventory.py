"""From one status answer to what the engine plans with: nodes, sizes and the ceilings over them. Pure.

One bad node or size is left out and named in `Cloud.warnings`; an answer that is bad as a whole is an error,
so that nobody takes "nothing could be read" for "nothing is there".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cyclecloud_api import models
from cyclecloud_api.errors import Garbled
from cyclecloud_api.limits import SizeUse, pools_over, withheld
from cyclecloud_api.nodes import NodeReader
from cyclecloud_api.sizes import Size, bucket_of, read_sizes
from scalelib.names import ByName, folded, region
from scalelib.node import NodeId
from scalelib.provider import Cloud

TOLERATED_BAD = 2
"""So many records that make no sense are left out without further ado, however few there are."""

TOLERATED_GAP = 0.2
"""Share of the active nodes that may be missing in the list: the server writes both while it works."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Inventory:
    """What one status answer says."""

    cloud: Cloud
    sizes: Mapping[str, Size]
    """By bucket id."""
    request_ids: Mapping[NodeId, str] = field(default_factory=dict)
    """The request id that each node was created with, where the server tells."""
    active: int = 0
    """Nodes in use by the server's own count."""
    lacking: int = 0
    """Of these, the ones that are not in its list."""
    listed: int = 0
    """Records in its list."""
    unreadable: int = 0
    """Of these, the ones that make no sense."""
    withheld: frozenset[str] = frozenset()
    """Bucket ids of which the server offers no node though no ceiling is reached that we know of."""
    throttled: frozenset[str] = frozenset()
    """Of these, the ones where every ceiling is known: the server holds them back after a failure."""


def cloud_from_status(
    raw: Mapping[str, Any],
    *,
    cluster: str,
    prices: Mapping[str, float],
    config: Mapping[str, Any] | None = None,
) -> Cloud:
    """What the engine plans with. `prices` are per hour, by size; those of spot by `<size>/spot`.

    Garbled if the answer cannot be read as a whole.
    """
    return inventory(raw, cluster=cluster, prices=prices, config=config).cloud


def inventory(
    raw: Mapping[str, Any],
    *,
    cluster: str,
    prices: Mapping[str, float],
    config: Mapping[str, Any] | None = None,
) -> Inventory:
    """The same with what the failure memory and the provider need besides."""
    try:
        status = models.read(models.ClusterStatus, raw)
    except models.ShapeError as wrong:
        raise Garbled(f"the status of cluster {cluster} cannot be read: {wrong}") from wrong
    warnings: list[str] = []
    prices = ByName(prices)
    arrays, sizes = read_sizes(status, warnings)
    by_kind = {(s.nodearray.lower(), s.vm_size.lower()): s for s in sizes}
    reader = NodeReader(arrays, by_kind, prices, config or {}, warnings)
    for record in status.nodes or ():
        reader.add(record)
    uses = [
        SizeUse(
            id=s.id,
            nodearray=s.nodearray,
            vm_size=s.vm_size,
            region=region(s.attributes.region),
            account=s.account,
            spot=s.spot,
            status=s.status,
            nodes=reader.counted.get(s.id, 0),
        )
        for s in sizes
    ]
    pools, taken = pools_over(status, uses, stray=reader.stray)
    buckets = tuple(bucket_of(s, taken[s.id], prices) for s in sizes)
    held_back = withheld(buckets, pools, uses)
    if (off := _off(status)) is not None:
        buckets = tuple(replace(b, valid=False, invalid_reason=b.invalid_reason or off) for b in buckets)
        warnings.append(f"cluster {cluster}: {off}; nothing is launched")
    cloud = Cloud(
        cluster=cluster,
        state=status.state,
        nodes=tuple(reader.nodes),
        buckets=buckets,
        pools=pools,
        raw=raw,
        warnings=tuple(warnings),
    )
    lacking = sum(max(0, (s.status.active_count or 0) - reader.counted.get(s.id, 0)) for s in sizes)
    return Inventory(
        cloud=cloud,
        sizes={s.id: s for s in sizes},
        request_ids=reader.request_ids,
        active=sum(s.status.active_count or 0 for s in sizes),
        lacking=max(0, lacking - reader.unreadable),
        listed=len(status.nodes or ()),
        unreadable=reader.unreadable,
        withheld=frozenset(held_back),
        # What a cluster that is not started offers says nothing about machines.
        throttled=frozenset(i for i, told in held_back.items() if told and _is_started(status)),
    )


_OFF = ("off", "stopping", "terminating", "terminated", "deallocated")


def _off(status: models.ClusterStatus) -> str | None:
    """Why the cluster takes no new nodes at all, if it does not: it is not started, or is to be stopped."""
    if status.target_state and folded(status.target_state) != "started":
        return f"the cluster is to be {status.target_state}, not Started: start it"
    if not status.target_state and folded(status.state) in _OFF:
        return f"the cluster is {status.state}, not Started: start it"
    return None


def _is_started(status: models.ClusterStatus) -> bool:
    return folded(status.state) in ("", "started") and folded(status.target_state) in ("", "started")


def check_whole(seen: Inventory) -> None:
    """Garbled if many nodes cannot be seen: nobody is to plan on half a list. A few bad ones are left out."""
    cluster = seen.cloud.cluster
    if seen.lacking > seen.active * TOLERATED_GAP:
        raise Garbled(
            f"the status of cluster {cluster} lists {seen.active - seen.lacking} of {seen.active} active "
            "nodes: the list is not whole, so nothing is decided from it"
        )
    if seen.unreadable > max(TOLERATED_BAD, seen.listed * TOLERATED_GAP):
        raise Garbled(
            f"the status of cluster {cluster} has {seen.unreadable} of {seen.listed} nodes that cannot be "
            f"read, such as: {seen.cloud.warnings[-1]}"
        )
