"""Everything that a pass decides from, in one value that can be written to a file and replayed anywhere.

The JSON form is described in `docs/snapshot.md`. Unknown keys are an error that names the key, except inside
`cluster`, which is kept as the server sent it. Times are RFC 3339 in UTC; durations are seconds.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from autoscaler_app.memory.orders import Orders
from autoscaler_app.memory.stories.budget import Span
from celery_resources.settings import ONE_CPU
from scalelib.errors import InvalidInput

VERSION: Literal[1] = 1

Stage = Literal["serving", "fenced", "leaving", "left"]
"""Where a host is on its way out: takes work; takes none; was told to shut down; has shut down cleanly."""


class QueueSeen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One resource queue: what its tasks need, and how many wait."""

    queue: str
    constraints: Any = msgspec.field(default_factory=lambda: dict(ONE_CPU.constraints))
    node_count: int = 0
    colocated: bool = False
    exclusive: bool = False
    priority: int = 0
    waiting: int = 0
    running: int = 0
    """Tasks of this queue that run or are held now; they are not part of `waiting`, and also among `jobs`."""
    oldest_seconds: float | None = None
    runtime_seconds: float | None = None
    untimed_seconds: float | None = None
    """For how long something has waited here while the run time is unknown; None: it is known, or nobody
    noted."""
    due: tuple[float, ...] = ()
    """Seconds from now at which tasks of this queue fall due (ETA, countdown); not part of `waiting`."""
    ran_seconds_ago: float | None = None
    """How long ago the last run of it ended, anywhere; None: none is known."""


class JobSeen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A job as the engine takes it; work that runs or is held names its host."""

    name: str
    constraints: Any = msgspec.field(default_factory=dict)
    iterations: int = 1
    node_count: int = 0
    colocated: bool = False
    exclusive: bool = False
    priority: int = 0
    executing_hostnames: tuple[str, ...] = ()
    queue: str = ""
    """The queue that its tasks came from; empty: not one of ours, or not known."""
    so_far: tuple[float, ...] = ()
    """Seconds for which each of its tasks has run; those that are held have none."""


class GangSeen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The gang that a host says it is in."""

    id: str
    hosts: tuple[str, ...]
    """Host names, the head first."""
    role: str
    """`follows`, `waits`, `runs` or `done`."""
    lacks: tuple[str, ...] = ()
    """Hosts that the head waits for: they have not said that they are empty."""


class HostSeen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the worker processes of one host last said."""

    hostname: str
    total: dict[str, Any] = msgspec.field(default_factory=dict)
    running: int = 0
    held: int = 0
    fenced: bool = False
    heard_seconds_ago: float | None = None
    """None: known, but nothing is known of it now."""
    untold_seconds: float | None = None
    """For how long it has not told what it has though it could have been heard; None: as `heard_seconds_ago`
    says."""
    queues: tuple[str, ...] | None = None
    """What it consumes; None: unknown."""
    stage: Stage | None = None
    """None: as `fenced` says."""
    gang: GangSeen | None = None
    """None: it is in none."""
    evicted: bool = False
    """It said that its machine is about to be taken back by the cloud."""
    hungry_seconds: float | None = None
    """For how long it has had room and started nothing of what waits in its queues, or is meant for it; None
    if not so."""
    ran: tuple[str, ...] = ()
    """Queues of which it has run tasks to their end, as its worker processes count them."""
    began: datetime | None = None
    """When the youngest of its worker processes started; None: not told."""
    worked_seconds_ago: float | None = None
    """How long ago it was known to run a task, or to have just ended one; None: never, or not told."""
    why_unknown: str = ""
    """Why nothing is known of it though it is heard; empty where silence is the reason."""

    @property
    def on_its_way(self) -> Stage:
        """The stage, from `fenced` where it is not given."""
        return self.stage or ("fenced" if self.fenced else "serving")


class TimesSeen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The clocks of one node."""

    created: datetime
    ready: datetime | None = None
    last_active: datetime | None = None
    last_needed: datetime | None = None
    booting: datetime | None = None
    """Since when it has been booting, this time; None: it is not, or that was not noted."""


class MachineTold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the workers of one machine told that it has."""

    node_id: str
    created: datetime
    """When the node was first seen."""
    last: datetime
    """When that was last heard, to the hour."""
    told: dict[str, float]
    """Amounts; the most that it ever told of each, for a worker of several may be late, or have died."""


class SizeKnown(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What machines of one size in one nodearray were seen to have."""

    promised: dict[str, float]
    """Amounts that the cloud promises."""
    image: str = ""
    since: datetime | None = None
    """Since when that is promised, from this image; older machines say nothing of it. None: always."""
    machines: tuple[MachineTold, ...] = ()
    """The last few that came up."""


class BoughtFor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A machine that was bought for some work and has not run anything yet."""

    name: str
    size: str
    bucket: str = ""
    at: datetime
    """When it was first seen."""
    queues: tuple[str, ...]
    had_a_machine: bool = False
    """It got further than to be asked for."""
    fell: bool = False
    """It was lost before it ran anything, and is there yet."""
    mates: dict[str, tuple[int, int]] = msgspec.field(default_factory=dict)
    """By queue: of those that were seen first with it, how many ran some of it, and how many fell."""


class InVain(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Work for which machines were bought that never ran any of it."""

    asks: str
    """What it asks for, to see that change."""
    times: int
    """So many times in a row."""
    machines: int
    last: datetime
    """When a machine last fell that belongs to a new time."""
    until: datetime
    """Nothing is bought for it before; one slot after."""
    asked: datetime
    """When it was last asked for."""
    tried: tuple[str, ...] = ()
    """The last machines, each with what became of it."""


class Learnt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What passes learn of machines: what they have, and what became of those that were bought."""

    sizes: dict[str, SizeKnown] = msgspec.field(default_factory=dict)
    """By `<nodearray>/<vm_size>`: what its machines were seen to have."""
    bought: dict[str, BoughtFor] = msgspec.field(default_factory=dict)
    """By node id: machines that were bought and have not run anything."""
    vain: dict[str, InVain] = msgspec.field(default_factory=dict)
    """By queue: work for which machines were bought in vain."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One look at the world."""

    version: Literal[1]
    now: datetime
    cluster: dict[str, Any]
    config: dict[str, Any] = msgspec.field(default_factory=dict)
    queues: tuple[QueueSeen, ...] = ()
    jobs: tuple[JobSeen, ...] = ()
    hosts: tuple[HostSeen, ...] = ()
    history: dict[str, TimesSeen] = msgspec.field(default_factory=dict)
    meant: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)
    """By node id: slots by job that it was bought for, or that the last plan put there."""
    waited: dict[str, float] = msgspec.field(default_factory=dict)
    """By job: for how many seconds it has waited without a place for any of its slots."""
    learnt: Learnt = Learnt()
    """What was learnt of machines up to the last pass."""
    listening_since: datetime | None = None
    """Since when whoever speaks up is heard: who was not heard before then may have been there all the same.
    None: for as long as any node has been there."""
    set_aside: dict[str, str] = msgspec.field(default_factory=dict)
    """What nothing is to be launched in for now, each with why (failure memory): bucket ids, and
    `<bucket id>@<placement group>`."""
    hold: str = ""
    """Why nothing is to be deleted now (the circuit breaker is open); empty if nothing stands against it."""
    spent: dict[Span, float] = msgspec.field(default_factory=dict)
    """Money that was spent in this day and this month (UTC)."""
    paused: bool = False
    """True: look and tell, launch nothing, fence nothing, delete nothing."""
    orders: Orders = Orders()
    """What people asked for by hand."""


def encode(snapshot: Snapshot) -> bytes:
    """The JSON text of a snapshot; secrets are left out of `config` before it gets here."""
    return msgspec.json.format(msgspec.json.encode(snapshot), indent=1)


def decode(text: bytes, *, place: str = "snapshot") -> Snapshot:
    """Read a snapshot. Raises InvalidInput that names the key and the place."""
    try:
        snapshot = msgspec.json.decode(text.removeprefix(BOM_UTF8), type=Snapshot)
    except msgspec.DecodeError as error:
        raise InvalidInput(f"{place}: {error}") from error
    for key, instant in (("now", snapshot.now), ("listening_since", snapshot.listening_since)):
        if instant is not None and instant.tzinfo is None:
            raise InvalidInput(f"{place}: {key!r} is {instant.isoformat()}, which has no time zone; write …Z")
    return snapshot


def load(path: Path) -> Snapshot:
    """Read a snapshot file. Raises InvalidInput, also where the file cannot be read."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read: {error.strerror}") from error
    return decode(text, place=str(path))
