"""`nodes/create` and `scale`: from what was asked for to node records."""

from __future__ import annotations

import itertools
import math
import uuid
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from cyclecloud_emulator.cluster.life import Life
from cyclecloud_emulator.cluster.limits import bucket_limits, room_in_group
from cyclecloud_emulator.cluster.node import Node, Phase
from cyclecloud_emulator.cluster.state import Operation, State
from cyclecloud_emulator.errors import BadQuery, Conflict, NotFound
from cyclecloud_emulator.settings import Nodearray

MOST_NODES = 100_000
"""More in one set is a mistake of the caller."""


class Definition(Struct, rename="camel"):
    """Which bucket."""

    machine_type: str | None = None


class CreationSet(Struct, rename="camel"):
    """One homogeneous group of nodes."""

    nodearray: str
    count: int
    definition: Definition | None = None
    name_format: str | None = None
    name_offset: int | None = None
    node_attributes: dict[str, Any] | None = None
    placement_group_id: str | None = None


class CreationRequest(Struct, rename="camel"):
    """Body of `nodes/create`."""

    sets: list[CreationSet]
    request_id: str | None = None


class SetResult(Struct, rename="camel", omit_defaults=True):
    """What became of one set."""

    added: int
    message: str | None = None


def parse(body: bytes) -> CreationRequest:
    """Read the body; anything wrong with it is a conflict, as the API says."""
    try:
        request = msgspec.json.decode(body, type=CreationRequest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Conflict(f"Invalid node creation request: {error}") from error
    if not request.sets:
        raise Conflict("Invalid node creation request: sets is empty; at least one set is needed")
    return request


def check_request_id(state: State, cluster: str, request_id: str | None, now: float) -> None:
    """A request id counts once."""
    if request_id and state.operation_of_request(cluster, request_id, now) is not None:
        raise Conflict(f"Request already handled: {request_id}")


def create(
    state: State, life: Life, cluster: str, request: CreationRequest, now: float
) -> tuple[Operation, list[SetResult]]:
    """Make the records that fit, and start them. All sets are checked before the first record is made."""
    check_request_id(state, cluster, request.request_id, now)
    if cluster in state.stopped_clusters and state.settings.quirks.not_started == "409":
        raise Conflict(f"Cluster {cluster} is not started")
    sizes = [_check(state, cluster, item) for item in request.sets]
    if state.settings.quirks.over_ask == "conflict":
        for item, size in zip(request.sets, sizes, strict=True):
            if _room(state, cluster, item, size, now)[0] < item.count:
                raise Conflict(f"Not enough room for {item.count} nodes in nodearray {item.nodearray}")
    made: list[Node] = []
    results: list[SetResult] = []
    for item, size in zip(request.sets, sizes, strict=True):
        nodes, result = _create_set(state, life, cluster, item, size, request.request_id, now)
        made += nodes
        results.append(result)
    operation = Operation(
        id=str(uuid.uuid4()),
        action="create",
        started_at=now,
        cluster=cluster,
        request_id=request.request_id,
        node_ids=tuple(node.id for node in made),
    )
    state.remember(operation, now)
    return operation, results


def scale(
    state: State,
    life: Life,
    cluster: str,
    nodearray: str,
    *,
    total_cores: int | None,
    total_nodes: int | None,
    now: float,
) -> tuple[Operation, list[SetResult]]:
    """Add what is missing to reach a total, from the first bucket that takes new nodes."""
    array = state.settings.clusters[cluster].nodearrays.get(nodearray)
    if array is None:
        raise NotFound(f"No nodearray {nodearray} in cluster {cluster}")
    if (total_cores is None) == (total_nodes is None):
        raise BadQuery("Specify exactly one of totalCoreCount and totalNodeCount")
    vm_size = next((name for name in array.sizes if name not in array.disabled_sizes), None)
    if vm_size is None:
        raise Conflict(f"Nodearray {nodearray} has no bucket that takes new nodes")
    usage, key = state.usage(), (cluster, nodearray)
    if total_nodes is not None:
        missing = total_nodes - usage.array_nodes[key]
    else:
        missing_cores = (total_cores or 0) - usage.array_cores[key]
        missing = math.ceil(missing_cores / state.settings.sizes[vm_size].vcpus)
    item = CreationSet(
        nodearray=nodearray, count=max(0, missing), definition=Definition(machine_type=vm_size)
    )
    return create(state, life, cluster, CreationRequest(sets=[item]), now)


def _check(state: State, cluster: str, item: CreationSet) -> str:
    """The size that a set asks for; a conflict if there is none such."""
    arrays = state.settings.clusters[cluster].nodearrays
    array = arrays.get(item.nodearray)
    if array is None:
        raise Conflict(
            f"No nodearray {item.nodearray} in cluster {cluster}", detail=f"There are: {', '.join(arrays)}"
        )
    if not 0 <= item.count <= MOST_NODES:
        raise Conflict(f"count {item.count} is not between 0 and {MOST_NODES}")
    if item.name_format is not None and item.name_format.count("%d") != 1:
        raise Conflict(f"nameFormat {item.name_format!r} does not hold exactly one %d")
    wanted = item.definition.machine_type if item.definition else None
    open_sizes = [name for name in array.sizes if name not in array.disabled_sizes]
    if wanted is None and open_sizes:
        return open_sizes[0]
    if wanted not in open_sizes:
        raise Conflict(
            f"No bucket matches machineType {wanted} in nodearray {item.nodearray}",
            detail=f"There are: {', '.join(open_sizes)}",
        )
    return wanted


def _room(state: State, cluster: str, item: CreationSet, vm_size: str, now: float) -> tuple[int, str]:
    """How many nodes fit, and what binds."""
    array = state.settings.clusters[cluster].nodearrays[item.nodearray]
    usage = state.usage()
    spot = _is_spot(array, item)
    throttled = is_throttled(state, cluster, item.nodearray, vm_size, spot, now)
    limits = bucket_limits(
        state.settings, cluster, item.nodearray, vm_size, usage=usage, throttled=throttled, spot=spot
    )
    room, what = limits.available_nodes, "limits"
    group = item.placement_group_id or array.placement_group
    if group is not None:
        left = room_in_group(array, usage, (cluster, item.nodearray, vm_size, group))
        if left < room:
            room, what = left, f"placement group {group}"
    return room, what


def is_throttled(state: State, cluster: str, nodearray: str, vm_size: str, spot: bool, now: float) -> bool:
    """Whether the server holds a bucket closed because the cloud had no machine lately."""
    array = state.settings.clusters[cluster].nodearrays[nodearray]
    if not array.throttle_capacity:
        return False
    key = state.capacity_key(cluster, nodearray, vm_size, spot)
    return 0 <= state.seconds_since_capacity_failure(key, now) < array.throttle_capacity_seconds


def _create_set(
    state: State,
    life: Life,
    cluster: str,
    item: CreationSet,
    vm_size: str,
    request_id: str | None,
    now: float,
) -> tuple[list[Node], SetResult]:
    room, what = _room(state, cluster, item, vm_size, now)
    count = min(item.count, room)
    if count < item.count and state.settings.quirks.over_ask == "none":
        count = 0
    names = list(itertools.islice(_names(state, cluster, item), count))
    message = f"Only {count} of {item.count} nodes fit in the {what}" if count < item.count else None
    if state.settings.quirks.name_collision == "fewer" and item.name_format is not None:
        wanted = set(itertools.islice(_numbered(item), count))
        names = [name for name in names if name in wanted]
        if len(names) < count:
            message = f"Only {len(names)} of {item.count} nodes: the other names are taken"
    nodes = [
        _new_node(state, life, cluster, item, vm_size, name, request_id, number, now)
        for number, name in enumerate(names)
    ]
    return nodes, SetResult(added=len(nodes), message=message)


def _names(state: State, cluster: str, item: CreationSet) -> Iterator[str]:
    """Free names for a set, without end."""
    increasing = state.settings.quirks.numbering == "increasing" and item.name_format is None
    key = (cluster, item.nodearray)
    if increasing:
        for number in itertools.count(state.highest_number.get(key, 0) + 1):
            state.highest_number[key] = number
            name = f"{item.nodearray}-{number}"
            # Taken by a nameFormat, or from before the numbering was switched.
            if (cluster, name) not in state.names:
                yield name
    offset = item.name_offset if state.settings.quirks.offset_without_format == "used" else None
    for name in _numbered(item, offset_without_format=offset):
        if (cluster, name) not in state.names:
            yield name


def _numbered(item: CreationSet, *, offset_without_format: int | None = None) -> Iterator[str]:
    if item.name_format is None:
        start = 1 + (offset_without_format or 0)
        return (f"{item.nodearray}-{number}" for number in itertools.count(start))
    start = 1 + (item.name_offset or 0)
    return (item.name_format.replace("%d", str(number)) for number in itertools.count(start))


def _is_spot(array: Nodearray, item: CreationSet) -> bool:
    interruptible = (item.node_attributes or {}).get("Interruptible")
    return interruptible if isinstance(interruptible, bool) else array.spot


def _new_node(
    state: State,
    life: Life,
    cluster: str,
    item: CreationSet,
    vm_size: str,
    name: str,
    request_id: str | None,
    number: int,
    now: float,
) -> Node:
    array, size = (
        state.settings.clusters[cluster].nodearrays[item.nodearray],
        state.settings.sizes[vm_size],
    )
    attributes = dict(item.node_attributes or {})
    keep_alive, fixed = attributes.pop("KeepAlive", None), attributes.pop("Fixed", None)
    policy = attributes.pop("ShutdownPolicy", None)
    node = Node(
        id=str(uuid.uuid4()),
        name=name,
        cluster=cluster,
        nodearray=item.nodearray,
        vm_size=vm_size,
        size=size,
        spot=_is_spot(array, item),
        zone=size.zones[number % len(size.zones)] if size.zones else "",
        created_at=now,
        changed_at=now,
        attributes=attributes,
        keep_alive=keep_alive if isinstance(keep_alive, bool) else array.keep_alive,
        fixed=fixed if isinstance(fixed, bool) else array.fixed,
        shutdown_policy=policy if isinstance(policy, str) else array.shutdown_policy,
        placement_group=item.placement_group_id or array.placement_group,
        request_id=request_id,
    )
    state.add(node)
    if attributes.get("StartAutomatically") is False or cluster in state.stopped_clusters:
        node.enter(Phase.OFF, now)
    else:
        life.start(node, now)
    return node
