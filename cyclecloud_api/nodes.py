"""The nodes of a status answer, read one by one: what is wrong with one is said and spoils no other. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, ip_address
from typing import Any

import msgspec

from cyclecloud_api import models
from cyclecloud_api.sizes import Size, price_of, resources_of
from scalelib.errors import InvalidConfig
from scalelib.names import folded
from scalelib.node import Node, NodeId, NodeState

STATES: Mapping[str, NodeState] = {
    # `Status` as the reference and the public clients spell it, in lower case.
    "off": NodeState.OFF,
    "acquiring": NodeState.ACQUIRING,
    "allocating": NodeState.ACQUIRING,
    "preparing": NodeState.PREPARING,
    "ready": NodeState.READY,
    "started": NodeState.READY,
    "failed": NodeState.FAILED,
    "error": NodeState.FAILED,
    "unavailable": NodeState.UNAVAILABLE,
    "stopping": NodeState.STOPPING,
    "deallocating": NodeState.STOPPING,
    "deallocated": NodeState.DEALLOCATED,
    "terminating": NodeState.TERMINATING,
    "terminated": NodeState.TERMINATED,
    "unknown": NodeState.UNKNOWN,
    # `State`, the finer step, for records without a Status.
    "allocation": NodeState.ACQUIRING,
    "initialization": NodeState.PREPARING,
    "configuration": NodeState.PREPARING,
    "terminationpreparation": NodeState.TERMINATING,
    "termination": NodeState.TERMINATING,
}

_TARGETS = frozenset({"started", "terminated", "deallocated"})

WITHOUT_ID = "name:"
"""Begins the id of a node that is booting and has no NodeId yet. It is capacity to come: left out, it would
be asked for once more. It can be neither ended nor followed before it has an id of its own."""

_SPARE = (
    *(
        "StatusMessage",
        "Infiniband",
        "CoreCount",
        "Memory",
        "Region",
        "RequestId",
        "PhaseFailed",
        "Configuration",
    ),
    *("InstanceId", "Interruptible", "ShutdownPolicy", "KeepAlive"),
)
"""Attributes that may be missing: what is planned stays right without them. Whose KeepAlive cannot be read is
kept."""

_NO_MACHINE = (NodeState.OFF, NodeState.DEALLOCATED, NodeState.TERMINATED)
"""Not counted against limits, as long as nobody wants the node started."""


class NodeReader:
    """Reads node records one by one; what is wrong with one is said and spoils no other."""

    def __init__(
        self,
        arrays: Mapping[str, models.NodearrayRecord],
        sizes: Mapping[tuple[str, str], Size],
        prices: Mapping[str, float],
        config: Mapping[str, Any],
        warnings: list[str],
    ) -> None:
        self._arrays, self._sizes, self._prices = arrays, sizes, prices
        self._alone = _only_sizes(sizes.values())
        self._standalone = config.get("assume_standalone_hostnames") is True
        self._warnings = warnings
        self._ids: set[str] = set()
        self._valid = _patterns(config.get("valid_hostnames"))
        self.nodes: list[Node] = []
        self.unreadable = 0
        self.request_ids: dict[NodeId, str] = {}
        self.counted: dict[str, int] = {}
        """Nodes that count against the limits, by bucket id."""
        self.stray: list[tuple[str, int]] = []
        """(nodearray or "", cores) of nodes that count and are in no known bucket: head nodes, say."""

    def add(self, raw: object) -> None:
        """Take in one record."""
        odd: list[str] = []
        try:
            record = models.read_most(models.NodeRecord, raw, spare=_SPARE, warnings=odd)
        except models.ShapeError as wrong:
            self._warnings.append(f"node {_name_in(raw)} cannot be read and is left out: {wrong}")
            self._count(None, "", 0)
            self.unreadable += 1
            return
        self._warnings += [f"node {record.name}: {text}" for text in odd]
        if any("$.KeepAlive" in text for text in odd):
            record = msgspec.structs.replace(record, keep_alive=True)  # unknown: it may be somebody's
        state = _state(record)
        if record.status and record.status.strip().lower() not in STATES:
            said = f"node {record.name} has the status {record.status!r}, which is none that we know"
            self._warnings.append(f"{said}: it counts as {state.value}")
        wanted = _wanted(record, state)
        array = record.template.lower()
        size = self._sizes.get((array, record.machine_type.lower())) or (
            self._alone.get(array) if not record.machine_type else None
        )
        if wanted or state not in _NO_MACHINE:
            self._count(size, record.template if array in self._arrays else "", record.core_count or 0)
        if array not in self._arrays:
            return  # a head node or another machine that is no business of ours
        if size is not None and not size.enabled:
            return  # its nodearray is not to be scaled by anybody but its owner
        node_id = NodeId(record.node_id or f"{WITHOUT_ID}{record.name}")
        if not record.node_id and not (wanted and state.is_booting):
            self._warnings.append(f"node {record.name} has no NodeId and is left out of this look")
            return
        if node_id in self._ids:
            self._warnings.append(f"NodeId {node_id} comes twice; node {record.name} is left out")
            return
        self._ids.add(node_id)
        if record.request_id:
            self.request_ids[node_id] = record.request_id
        self.nodes.append(self._node(node_id, record, state, wanted, size, self._arrays[array]))

    def _count(self, size: Size | None, nodearray: str, cores: int) -> None:
        if size is None:
            self.stray.append((nodearray, cores))
        else:
            self.counted[size.id] = self.counted.get(size.id, 0) + 1

    def _node(
        self,
        node_id: NodeId,
        record: models.NodeRecord,
        state: NodeState,
        wanted: bool,
        size: Size | None,
        attributes: models.NodearrayRecord,
    ) -> Node:
        machine = None if size is None else size.status.virtual_machine
        vcpus = record.core_count or (size.vcpus if size else 0)
        vm_size = record.machine_type or (size.vm_size if size else "")
        in_array_of_spot = attributes.interruptible or attributes.is_spot_instance
        spot = in_array_of_spot if record.interruptible is None else record.interruptible
        return Node(
            id=node_id,
            name=record.name,
            nodearray=record.template if size is None else size.nodearray,
            vm_size=vm_size,
            bucket_id="" if size is None else size.id,
            state=state,
            status=record.status or record.state or "Unknown",
            status_message=record.status_message or record.phase_failed,
            wanted=wanted,
            hostname=self._hostname(record),
            private_ip=record.private_ip or None,
            instance_id=record.instance_id or None,
            placement_group=record.placement_group_id or None,
            spot=spot,
            may_start_again=state is NodeState.DEALLOCATED
            and folded(record.shutdown_policy or attributes.shutdown_policy) == "deallocate",
            keep_alive=record.keep_alive,
            location=record.region or attributes.region,
            vcpu_count=vcpus,
            pcpu_count=vcpus if size is None else min(size.pcpus, vcpus),
            gpu_count=machine.gpu_count if machine else 0,
            memory_gib=record.memory or (size.memory if size else 0.0),
            infiniband=bool(machine and machine.infiniband)
            if record.infiniband is None
            else record.infiniband,
            price_per_hour=price_of(self._prices, vm_size, spot) or 0.0,
            resources={**resources_of(attributes.configuration), **resources_of(record.configuration)},
            software_configuration={**attributes.configuration, **record.configuration},
        )

    def _hostname(self, record: models.NodeRecord) -> str | None:
        """Short host name. On request derived from the address, as stand-alone DNS does, and only if it is
        one of the valid ones: a machine has a name of its own before it is given the real one.
        """
        if record.hostname and self._is_real(record.hostname):
            return record.hostname.split(".", 1)[0] or None
        if not (self._standalone and record.private_ip):
            return None
        try:
            address = ip_address(record.private_ip)
        except ValueError:
            return None
        return f"ip-{int(address):08X}" if isinstance(address, IPv4Address) else None

    def _is_real(self, hostname: str) -> bool:
        return not self._valid or any(pattern.match(hostname) for pattern in self._valid)


def _patterns(valid: Any) -> tuple[re.Pattern[str], ...]:
    """The expressions of `valid_hostnames`; none: every name is valid."""
    if valid is None:
        return ()
    if not isinstance(valid, list | tuple) or not all(isinstance(p, str) for p in valid):
        raise InvalidConfig(f"valid_hostnames is {valid!r}: a list of regular expressions is wanted")
    try:
        return tuple(re.compile(p) for p in valid)
    except re.error as error:
        raise InvalidConfig(
            f"valid_hostnames has {error.pattern!r}, no regular expression: {error}"
        ) from error


def _wanted(record: models.NodeRecord, state: NodeState) -> bool:
    """Whether it is meant to be up. Without a TargetState that we know it is not, unless it may just be being
    started: leaving out a node that was asked for a moment ago would ask for it once more.
    """
    target = folded(record.target_state)
    if target not in _TARGETS:
        return state.is_booting or state is NodeState.UNKNOWN
    return target == "started"


def _state(record: models.NodeRecord) -> NodeState:
    """By its status; where that is a word that we do not know, by the finer step. Who is said to be up by
    that alone is not known to be: idle, it would be ended.
    """
    known = STATES.get((record.status or record.state).strip().lower())
    if known is not None:
        return known
    finer = STATES.get(record.state.strip().lower(), NodeState.UNKNOWN)
    return NodeState.UNKNOWN if finer is NodeState.READY else finer


def _only_sizes(sizes: Iterable[Size]) -> dict[str, Size]:
    """The one size of each nodearray that has only one."""
    by_array: dict[str, list[Size]] = {}
    for size in sizes:
        by_array.setdefault(size.nodearray.lower(), []).append(size)
    return {array: found[0] for array, found in by_array.items() if len(found) == 1}


def _name_in(raw: object) -> str:
    name = models.get(raw, "Name") if isinstance(raw, Mapping) else None
    return str(name)[:80] if name else "without a name"
