"""What the emulator pretends to be: clusters, sizes, quotas, and how its nodes live.

Read once from a TOML or JSON file (`default.toml` beside this module if none is named) and checked. A
change through the admin endpoint makes a new, checked copy; nobody edits one.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from cyclecloud_emulator.errors import BadSettings
from cyclecloud_emulator.trouble.faults import Fault, Schedule
from cyclecloud_emulator.trouble.mishaps import Mishap
from cyclecloud_emulator.trouble.quirks import Quirks

DEFAULT_FILE = Path(__file__).with_name("default.toml")
UNLIMITED = 1_000_000
"""The ceiling of a cluster or nodearray that names none: the default is not documented, a large number is
a guess (question 27 of the quirks)."""

Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(ge=0)]
Money = Annotated[float, Meta(ge=0)]
Amount = int | float | str | bool


class Size(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One VM size of the cloud."""

    vcpus: Positive
    pcpus: Positive
    gpus: Count = 0
    memory_gib: Annotated[float, Meta(gt=0)]
    family: str
    """Name of the quota family, one of `families`."""
    infiniband: bool = False
    quota_vcpus: Positive | None = None
    """Cores charged to quota, where they differ from `vcpus` (constrained-core sizes)."""
    price: Money = 0.0
    """Money per hour; only the ledger of the emulator uses it."""
    spot_price: Money = 0.0
    zones: tuple[str, ...] = ("1", "2", "3")
    """Availability zones that have this size; nodes go round them."""

    @property
    def quota_cores(self) -> int:
        """Cores that one machine takes from family and regional quota."""
        return self.quota_vcpus or self.vcpus


class Quota(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A ceiling on cores that the subscription shares."""

    cores: Count
    used_by_others: Count = 0
    """Cores that somebody else in the subscription uses."""


class Nodearray(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A template that nodes are made from."""

    sizes: tuple[str, ...]
    """VM sizes, in order of preference; each is one bucket."""
    spot: bool = False
    max_count: Count = UNLIMITED
    max_core_count: Count = UNLIMITED
    priority: int | None = None
    max_placement_group_size: Positive = 40
    placement_group: str | None = None
    """All nodes are forced into this group."""
    keep_alive: bool = False
    fixed: bool = False
    """Nodes stay as a record (Off) when terminated."""
    shutdown_policy: Literal["Terminate", "Deallocate"] = "Terminate"
    throttle_capacity: bool = False
    """Report 0 available for a while after a capacity failure."""
    throttle_capacity_seconds: Seconds = 300.0
    autoscale: bool = True
    resources: dict[str, Amount] = field(default_factory=dict)
    """Sent as Configuration.autoscale.resources."""
    disabled_sizes: dict[str, Literal["NotActivated", "DisabledMachineType"]] = field(default_factory=dict)
    """Sizes whose bucket is not valid, each with its reason."""


class Cluster(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A cluster: its ceilings and its nodearrays."""

    nodearrays: dict[str, Nodearray]
    max_count: Count = UNLIMITED
    max_core_count: Count = UNLIMITED
    head_node: str = ""
    """Name of a node that belongs to no nodearray, such as `scheduler`; empty for none."""
    started: bool = True


class Nodes(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a node lives."""

    kind: Literal["process", "simulated", "none"] = "process"
    """A real worker process, a simulated worker, or a node on which nothing runs."""
    boot_seconds: Seconds = 5.0
    """From the create to Ready."""
    acquire_share: Annotated[float, Meta(ge=0, le=1)] = 0.2
    """Part of the boot that is spent Acquiring; the rest is Preparing."""
    terminate_seconds: Seconds = 2.0
    """From the terminate to the end of the record."""
    grace_seconds: Seconds = 5.0
    """From SIGTERM to SIGKILL for what still runs on a node that is terminated."""
    linger_seconds: Seconds = 60.0
    """With a state file: for how long nodes go on after the emulator has ended, in wait for the next one."""
    failed_seconds: Seconds = 3.0
    """How long a node that got no machine shows Failed before its record vanishes."""
    boot_timeout_seconds: Seconds = 1800.0
    """How long the server waits for a machine to report in before the node is Failed."""
    eviction_notice_seconds: Seconds = 30.0
    """From the notice of a spot eviction to the end of the machine."""
    app: str = "worker_tasks"
    """The Celery app that workers run."""
    command: tuple[str, ...] = (
        "{python}", "-m", "celery", "-A", "{app}", "worker", "-n", "celery@{hostname}",
        "--concurrency", "{vcpus}", "--loglevel", "INFO", "--without-gossip", "--without-mingle",
    )  # fmt: skip
    """What runs on a node; the words in braces are the facts of `machine.Machine.words`."""
    environment: dict[str, str] = field(default_factory=dict)
    """Added to what nodes inherit from the emulator."""
    simulated_task_seconds: Seconds = 1.0
    """How long a simulated worker takes for a task that does not say so itself."""
    simulated_task_events: bool = False
    """Whether simulated workers send the events of their tasks, as real ones do with `-E`."""
    control_queue: str = "autoscale"
    """Where a simulated worker leaves its farewell; empty for nowhere. Real ones know it from their app."""
    on_worker_exit: Literal["keep", "restart", "fail", "vanish"] = "keep"
    """What becomes of a Ready node whose worker did not exit cleanly: `keep` leaves it Ready and silent,
    `restart` starts the worker again, `fail` shows Failed, `vanish` drops the record. After a clean exit
    (code 0) the node always stays Ready, without a worker."""


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of it."""

    clusters: dict[str, Cluster]
    sizes: dict[str, Size]
    families: dict[str, Quota]
    regional: Quota
    spot: Quota
    """Quota for spot machines: a pool of its own, over all families."""
    region: str = "westeurope"
    subnet: str = "rg-celery/vnet-celery/workers"
    user: str = "emulator"
    password: str = ""
    """Better given through the environment than in a file."""
    base_path: Annotated[str, Meta(pattern="^(/[^/?#]+)*$")] = ""
    """Prefix of every path, such as `/cyclecloud`."""
    nodes: Nodes = field(default_factory=Nodes)
    quirks: Quirks = field(default_factory=Quirks)
    faults: tuple[Fault, ...] = ()
    """In force from the start, as if they had been added one by one."""
    mishaps: tuple[Mishap, ...] = ()
    """Likewise."""
    schedule: Schedule | None = None
    """Faults at random, behind those of `faults`."""

    def __post_init__(self) -> None:
        """Check what no type can say: that every name points at something."""
        if not self.clusters:
            raise ValueError("clusters: empty; at least one cluster is needed")
        for name, size in self.sizes.items():
            if size.family not in self.families:
                raise ValueError(
                    f"sizes.{name}.family: {size.family!r} is not one of families ({_list(self.families)})"
                )
        for cluster_name, cluster in self.clusters.items():
            for array_name, array in cluster.nodearrays.items():
                place = f"clusters.{cluster_name}.nodearrays.{array_name}"
                if not array.sizes:
                    raise ValueError(f"{place}.sizes: empty; at least one size is needed")
                for size_name in (*array.sizes, *array.disabled_sizes):
                    if size_name not in self.sizes:
                        raise ValueError(f"{place}: {size_name!r} is not one of sizes ({_list(self.sizes)})")
        arrays = {name for cluster in self.clusters.values() for name in cluster.nodearrays}
        for number, mishap in enumerate(self.mishaps):
            for key, value, known in (
                ("nodearray", mishap.nodearray, arrays),
                ("vm_size", mishap.vm_size, self.sizes),
            ):
                if value is not None and value not in known:
                    raise ValueError(f"mishaps.{number}.{key}: {value!r} is not one of {_list(known)}")


def load(path: Path | None = None) -> Settings:
    """Read a settings file: JSON if its name ends in .json, else TOML; `default.toml` if none is named."""
    path = path or DEFAULT_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(f"settings file {path}: cannot be read: {error}") from error
    try:
        data = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except ValueError as error:
        kind = "JSON" if path.suffix == ".json" else "TOML"
        raise BadSettings(f"settings file {path}: not {kind}: {error}") from error
    return from_mapping(data, place=f"settings file {path}")


def from_mapping(data: Mapping[str, object], *, place: str = "settings") -> Settings:
    """Check a mapping that has the shape of the settings file."""
    try:
        return msgspec.convert(data, Settings)
    except msgspec.ValidationError as error:
        raise BadSettings(f"{place}: {_with_value(str(error), data)}") from error


def replace(settings: Settings, **changes: Any) -> Settings:
    """A copy with some settings changed; `nodes` and `quirks` may be given as a mapping of changes."""
    for name in ("nodes", "quirks"):
        if isinstance(changes.get(name), Mapping):
            changes[name] = msgspec.structs.replace(getattr(settings, name), **changes[name])
    changed = msgspec.structs.replace(settings, **changes)
    return from_mapping(msgspec.to_builtins(changed))


def _with_value(message: str, data: Mapping[str, object]) -> str:
    """The message with the place and the value that it is about, found through the path at its end."""
    match = re.search(r" - at `(\$.*?|key in .*?)`$", message)
    if match is None:
        return message
    value: object = data
    place: list[str] = []
    for name, index in re.findall(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]", match[1]):
        if name or index == "...":
            # A key of a table is not named: it is the one without whose neighbours the same is wrong.
            key = name or _guilty_key(data, place, message)
            if not isinstance(value, Mapping) or key not in value:
                break
            place.append(key)
            value = value[key]
        elif isinstance(value, list | tuple):
            place.append(index)
            value = value[int(index)]
    text = message[: match.start()]
    return (
        f"{'.'.join(place)}: {text}"
        if isinstance(value, Mapping)
        else f"{'.'.join(place)}: {value!r}: {text}"
    )


def _guilty_key(data: Mapping[str, object], place: list[str], message: str) -> str:
    """The key of the table at `place` that alone gives the same message."""
    table: Any = data
    for key in place:
        table = table[key]
    for key in table:
        try:
            msgspec.convert(_with_only(data, place, key), Settings)
        except msgspec.ValidationError as error:
            if str(error) == message:
                return str(key)
    return "?"


def _with_only(data: Mapping[str, object], place: list[str], key: str) -> dict[str, Any]:
    """The settings with one key left in the table at `place`."""
    if not place:
        return {key: data[key]}
    inner: Any = data[place[0]]
    return {**data, place[0]: _with_only(inner, place[1:], key)}


def _list(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "none"
