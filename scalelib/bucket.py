"""A kind of machine that can be launched, and the shared ceilings over it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from scalelib.node import ResourceValue


class PoolKind(Enum):
    """What a ceiling is over; the words that plans give as a reason."""

    BUCKET = "bucket"
    NODEARRAY = "nodearray"
    CLUSTER = "cluster"
    FAMILY = "quota-family"
    REGIONAL = "quota-regional"
    SPOT = "quota-spot"
    PLACEMENT_GROUP = "placement-group"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool:
    """How much more may be added under one shared ceiling, now. Never negative; None is no ceiling.

    Nodes that exist are already taken off, nodes on their way out included.
    """

    name: str
    """Unique: `cluster`, `nodearray/worker`, `family/eastus/dsv5`, `regional/eastus`, `bucket/<id>`."""
    kind: PoolKind
    nodes: int | None = None
    cores: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Bucket:
    """One size of machine in one nodearray."""

    id: str
    nodearray: str
    vm_size: str
    spot: bool = False
    location: str = ""
    vcpu_count: int
    pcpu_count: int
    gpu_count: int = 0
    memory_gib: float
    infiniband: bool = False
    price_per_hour: float | None = None
    """Money per hour of one node; None if the settings give no price (see `scalelib.prices`)."""
    pools: Mapping[str, int] = field(default_factory=dict)
    """Names of the pools over it, each with the cores that one node takes from that pool."""
    placement_groups: Mapping[str, int] = field(default_factory=dict)
    """Placement groups in use, each with the nodes in it."""
    max_placement_group_size: int = 100
    """Most nodes in one placement group."""
    failing_groups: Mapping[str, str] = field(default_factory=dict)
    """Placement groups that nothing is to be launched in for now, each with why; they may not exist yet."""
    fixed_placement_group: str | None = None
    """Set if the nodearray forces all of its nodes into one group."""
    valid: bool = True
    """False: holds nodes, may not get new ones."""
    invalid_reason: str = ""
    set_aside: str = ""
    """Why nothing is to be launched here for now (a capacity failure, say); empty if it may."""
    capacity_failed: float | None = None
    """Seconds since capacity last failed here, at this look; None: never, or not known."""
    makes_groups: bool = True
    """False: its nodearray gets no placement groups with names that are made up."""
    priority: int = 1
    """Of the nodearray; higher is preferred by the priority expander."""
    position: int = 0
    """Place in the cloud's own order, which is an order of preference."""
    resources: Mapping[str, ResourceValue] = field(default_factory=dict)
    """Resources that the nodearray's definition gives its nodes."""
    software_configuration: Mapping[str, object] = field(default_factory=dict)
    image: str = ""
    """What its machines are started from; empty if the cloud does not tell."""
    told: Mapping[str, ResourceValue] = field(default_factory=dict)
    """Amounts that its machines were seen to have, where they are not what is promised: these hold."""


def room_left(bucket: Bucket, pools: Mapping[str, Pool]) -> tuple[int | None, PoolKind | None]:
    """How many more nodes may be had of it, and the ceiling that leaves no more; None: there is none."""
    rooms: dict[PoolKind, int] = {}
    for name, cores in bucket.pools.items():
        pool = pools[name]
        limits = [pool.nodes] if pool.nodes is not None else []
        if pool.cores is not None and cores:
            limits.append(pool.cores // cores)
        if limits:
            rooms[pool.kind] = min(limits)
    tightest = min(rooms, key=lambda kind: rooms[kind]) if rooms else None
    return (None, None) if tightest is None else (rooms[tightest], tightest)
