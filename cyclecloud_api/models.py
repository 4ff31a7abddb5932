"""The shapes of the REST API (reference 8.x), read leniently.

What is lenient: names are matched without regard to case, unknown properties are ignored, null is the same
as absent, numbers may come as text and whole numbers with a fraction of zero. What is not: a required
property that is missing, or of a wrong kind, is a `ShapeError` that says which and where.

Node and nodearray *records* are free-form attribute objects: they are kept as they came, and `NodeRecord`
and `NodearrayRecord` are typed views of the attributes that an autoscaler reads.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Collection, Mapping
from functools import cache
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct, field

S = TypeVar("S", bound=Struct)

Raw = dict[str, Any]


class ShapeError(ValueError):
    """A value does not have the documented shape; the text says which property, where and why."""


# -- status ---------------------------------------------------------------------------------------------


class BucketDefinition(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a create request names to get this bucket."""

    machine_type: Annotated[str, Meta(min_length=1)]


class VirtualMachine(Struct, frozen=True, kw_only=True, rename="camel"):
    """The size of a machine."""

    vcpu_count: Annotated[int, Meta(ge=0)]
    pcpu_count: Annotated[int, Meta(ge=0)] | None = None
    gpu_count: Annotated[int, Meta(ge=0)] = 0
    memory: Annotated[float, Meta(ge=0)]
    """GB in units of 1,024, may be fractional."""
    infiniband: bool = False
    vcpu_quota_count: Annotated[int, Meta(ge=0)] | None = None
    """vCPUs charged to the quota; differs from `vcpu_count` for constrained-core sizes."""


class PlacementGroup(Struct, frozen=True, kw_only=True, rename="camel"):
    """A placement group in use."""

    name: str
    active_count: int = 0
    active_core_count: int = 0


class BucketStatus(Struct, frozen=True, kw_only=True, rename="camel"):
    """One VM size in one nodearray. Counts that old servers do not send are None."""

    bucket_id: str = ""
    definition: BucketDefinition
    virtual_machine: VirtualMachine
    valid: bool = True
    invalid_reason: str = ""
    max_count: int | None = None
    max_core_count: int | None = None
    active_count: int | None = None
    active_core_count: int | None = None
    active_nodes: list[str] = field(default_factory=list)
    available_count: int | None = None
    available_core_count: int | None = None
    quota_count: int | None = None
    quota_core_count: int | None = None
    consumed_core_count: int | None = None
    family_quota_count: int | None = None
    family_quota_core_count: int | None = None
    family_consumed_core_count: int | None = None
    regional_quota_count: int | None = None
    regional_quota_core_count: int | None = None
    regional_consumed_core_count: int | None = None
    max_placement_group_size: int | None = None
    max_placement_group_core_size: int | None = None
    placement_groups: list[PlacementGroup] = field(default_factory=list)
    last_capacity_failure: float | None = None
    """Seconds since the last capacity failure; negative is never."""
    spot_placement_score: str = ""


class NodearrayStatus(Struct, frozen=True, kw_only=True, rename="camel"):
    """One nodearray: its ceilings, its attributes, its sizes."""

    name: str
    nodearray: Raw = field(default_factory=dict)
    max_count: int | None = None
    max_core_count: int | None = None
    buckets: list[Raw]
    """As they came; read each with `read(BucketStatus, …)`, so that one bad bucket spoils no other."""


class ClusterStatus(Struct, frozen=True, kw_only=True, rename="camel"):
    """`GET /clusters/{cluster}/status`."""

    state: str = ""
    target_state: str = ""
    max_count: int | None = None
    max_core_count: int | None = None
    nodearrays: list[NodearrayStatus]
    nodes: list[Any] | None = None
    """Node records as they came; None if they were not asked for."""
    raw: Raw = field(default_factory=dict)
    """The whole answer as it came."""


# -- records --------------------------------------------------------------------------------------------


class AzureAttributes(Struct, frozen=True, kw_only=True):
    """The nested `Azure` object of a nodearray record."""

    max_scaleset_size: int | None = field(default=None, name="MaxScalesetSize")


class NodearrayRecord(Struct, frozen=True, kw_only=True, rename="pascal"):
    """What an autoscaler reads of a nodearray's attributes."""

    region: str = ""
    subscription_id: str = ""
    account_name: str = ""
    """The account of the cloud that its machines are charged to; `Credentials` on some servers."""
    credentials: str = ""
    memory: Annotated[float, Meta(gt=0)] | None = None
    """GB that its machines have, where it says otherwise than their size."""
    core_count: Annotated[int, Meta(gt=0)] | None = None
    image_name: str = ""
    """What its machines are started from."""
    interruptible: bool = False
    is_spot_instance: bool = False
    priority: float = 1
    placement_group_id: str = ""
    shutdown_policy: str = ""
    """`Deallocate`: nodes that are shut down keep their disks and may be started again."""
    azure: AzureAttributes = AzureAttributes()
    configuration: Raw = field(default_factory=dict)


class NodeRecord(Struct, frozen=True, kw_only=True, rename="pascal"):
    """What an autoscaler reads of a node's attributes."""

    name: str
    node_id: str = ""
    """Missing for a moment on a fresh node."""
    template: str = ""
    """Name of its nodearray."""
    machine_type: str = ""
    status: str = ""
    status_message: str = ""
    state: str = ""
    target_state: str = ""
    hostname: str = ""
    private_ip: str = ""
    instance_id: str = ""
    placement_group_id: str = ""
    shutdown_policy: str = ""
    keep_alive: bool = False
    interruptible: bool | None = None
    infiniband: bool | None = None
    core_count: Annotated[int, Meta(ge=0)] | None = None
    memory: Annotated[float, Meta(ge=0)] | None = None
    region: str = ""
    request_id: str = ""
    phase_failed: str = ""
    configuration: Raw = field(default_factory=dict)


# -- nodes, creation, management ------------------------------------------------------------------------


class Operation(Struct, frozen=True, kw_only=True, rename="camel"):
    """`GET /operations/{id}`. There is no state and no result: progress is read from the nodes."""

    action: str = ""
    start_time: str = ""


class NodeList(Struct, frozen=True, kw_only=True, rename="camel"):
    """`GET /clusters/{cluster}/nodes`."""

    nodes: list[Any]
    """Node records as they came; read each with `read(NodeRecord, …)`."""
    operation: Operation | None = None


class NodeSet(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One homogeneous group of a create request."""

    nodearray: str
    count: int
    definition: BucketDefinition | None = None
    name_format: str | None = None
    name_offset: int | None = None
    node_attributes: Raw | None = None
    placement_group_id: str | None = None


class CreationRequest(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`POST /clusters/{cluster}/nodes/create`."""

    sets: list[NodeSet]
    request_id: str | None = None


class SetResult(Struct, frozen=True, kw_only=True, rename="camel"):
    """What became of one set."""

    added: Annotated[int, Meta(ge=0)]
    message: str = ""


class CreationResult(Struct, frozen=True, kw_only=True, rename="camel"):
    """The answer to a create, and to a scale."""

    operation_id: str
    sets: list[SetResult] = field(default_factory=list)


class ManagementRequest(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Which nodes; several selectors mean the union."""

    ids: list[str] | None = None
    names: list[str] | None = None
    hostnames: list[str] | None = None
    ip_addresses: list[str] | None = field(default=None, name="ip_addresses")
    filter: str | None = None
    request_id: str | None = None


class ManagedNode(Struct, frozen=True, kw_only=True, rename="camel"):
    """What became of one node of a management request."""

    id: str
    name: str = ""
    status: str = "OK"
    error: str = ""

    @property
    def ok(self) -> bool:
        """True unless the server says otherwise for this node."""
        return self.status.lower() == "ok" and not self.error


class ManagementResult(Struct, frozen=True, kw_only=True, rename="camel"):
    """The answer to a management verb. Nodes that matched nothing are not in it."""

    operation_id: str = ""
    nodes: list[ManagedNode] = field(default_factory=list)


# -- usage ----------------------------------------------------------------------------------------------


class UsageDetail(Struct, frozen=True, kw_only=True):
    """Hours of one size; these properties are snake_case on the wire."""

    vm_size: str = ""
    hours: float = 0.0
    core_count: float = 0.0
    region: str = ""
    priority: str = ""
    os: str = ""
    cost: float | None = None


class UsageItem(Struct, frozen=True, kw_only=True, rename="camel"):
    """Core-hours, and dollars at retail price, of a cluster, a nodearray or a node."""

    category: str = ""
    node: str = ""
    hours: float = 0.0
    cost: float | None = None
    details: list[UsageDetail] = field(default_factory=list)


class UsageInterval(Struct, frozen=True, kw_only=True, rename="camel"):
    """What was used between two instants."""

    start: str = ""
    end: str = ""
    total: UsageItem | float | None = None
    breakdown: list[UsageItem] = field(default_factory=list)


class ClusterUsage(Struct, frozen=True, kw_only=True, rename="camel"):
    """`GET /clusters/{cluster}/usage`."""

    usage: list[UsageInterval] = field(default_factory=list)


# -- reading --------------------------------------------------------------------------------------------


def read(kind: type[S], value: object, *, where: str = "$") -> S:
    """`value`, decoded JSON, as a `kind`; ShapeError if a required property is missing or of a wrong kind."""
    if not isinstance(value, Mapping):
        raise ShapeError(f"an object is wanted at {where}, not {_described(value)}")
    try:
        return msgspec.convert(_named(kind, value), kind, strict=False)
    except msgspec.ValidationError as wrong:
        text = str(wrong).replace("`$", f"`{where}")
        raise ShapeError(text if " - at " in text else f"{text} - at `{where}`") from wrong


def read_most(
    kind: type[S], value: object, *, where: str = "$", spare: Collection[str], warnings: list[str]
) -> S:
    """The same, but that a property of `spare` (names on the wire) that is wrong spoils only itself: it
    counts as absent and is named in `warnings`.
    """
    left = value
    while True:
        try:
            return read(kind, left, where=where)
        except ShapeError as wrong:
            found = re.search(rf"`{re.escape(where)}\.(\w+)", str(wrong))
            if found is None or found[1] not in spare or not isinstance(left, Mapping):
                raise
            warnings.append(f"{wrong}: it is taken for absent")
            left = {key: item for key, item in left.items() if key.lower() != found[1].lower()}


def get(record: Mapping[str, Any], name: str) -> Any:
    """An attribute of a free-form record, its name matched without regard to case; None if absent."""
    value = record.get(name)
    if value is not None:
        return value
    lowered = name.lower()
    return next((v for k, v in record.items() if k.lower() == lowered), None)


def _named(kind: type[Struct], value: Mapping[str, Any]) -> Raw:
    """`value` with the names that `kind` has, without nulls and strangers, nested structs likewise."""
    names = _names(kind)
    found: Raw = {}
    for key, item in value.items():
        if item is None:
            continue
        field_of = names.get(key) or names.get(key.lower())
        if field_of is None or (field_of.name in found and key != field_of.name):
            continue
        found[field_of.name] = _nested(field_of, item)
    return found


def _nested(field_of: _Field, item: Any) -> Any:
    if field_of.kind is not None:
        if isinstance(item, Mapping):
            return _named(field_of.kind, item)
        if isinstance(item, list):
            kind = field_of.kind
            return [_named(kind, one) if isinstance(one, Mapping) else one for one in item]
    if field_of.is_text and isinstance(item, list) and all(isinstance(one, str) for one in item):
        return ",".join(item)  # MachineType of a record may be a list
    return item


class _Field(Struct, frozen=True):
    name: str
    kind: type[Struct] | None
    """The struct that it holds, or holds a list of."""
    is_text: bool


@cache
def _names(kind: type[Struct]) -> dict[str, _Field]:
    """By name on the wire, as it is and in lower case."""
    found: dict[str, _Field] = {}
    for one in msgspec.structs.fields(kind):
        described = _Field(name=one.encode_name, kind=_struct_in(one.type), is_text=one.type is str)
        found[one.encode_name] = found[one.encode_name.lower()] = described
    return found


def _struct_in(annotation: Any) -> type[Struct] | None:
    inside = typing.get_args(annotation)
    if inside:
        return next((s for a in inside if (s := _struct_in(a)) is not None), None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, Struct) else None


def _described(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
