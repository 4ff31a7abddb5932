"""What a pass is going to do and why; the JSON form is described in `docs/snapshot.md`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum

import msgspec


class DeleteReason(Enum):
    """Why a node is ended. The last five are clean-up paths that need no certificate."""

    IDLE = "idle"
    SURPLUS = "surplus"
    BY_HAND = "by-hand"
    """A person asked to have it drained."""
    NOW = "now"
    """A person asked to have it ended at once, and was told what that kills."""
    FAILED = "failed"
    BOOT_TIMEOUT = "boot-timeout"
    NEVER_JOINED = "never-joined"
    SILENT = "silent"


class FenceReason(Enum):
    """Why a host gets no more work."""

    IDLE = "idle"
    SURPLUS = "surplus"
    HUNGRY = "not-eating"
    """Hungry: it has room and starts nothing of what waits in its queues."""
    BY_HAND = "by-hand"
    """A person asked to have it drained."""
    ON_HOLD = "on-hold"
    """A person holds it: it stays."""

    @property
    def is_way_out(self) -> bool:
        """It takes no more work because it is to go."""
        return self is not FenceReason.ON_HOLD


class KeepReason(Enum):
    """Why a node stays."""

    MATCHED = "matched"
    RUNNING = "running"
    BOOTING = "booting"
    JOINING = "joining"
    IDLE = "idle-not-long-enough"
    WARM = "warm-pool"
    DRAINING = "draining"
    UNKNOWN = "unknown"
    KEEP_ALIVE = "keep-alive"
    UNMANAGED = "unmanaged"
    LEAVING = "leaving"
    HELD = "held"
    HELD_BACK = "held-back"
    PAUSED = "paused"
    ON_HOLD = "on-hold"
    BUDGET = "budget"
    QUIET = "quiet-hours"


COMING_UP = (KeepReason.BOOTING, KeepReason.JOINING)


class GivenQueues(msgspec.Struct, frozen=True, kw_only=True):
    """This host is to consume exactly these queues."""

    hostname: str
    queues: tuple[str, ...]


class GangOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Hosts that are reserved together for one task, or set free again."""

    order: str
    """`form`; `disband`; `member-lost`: the head is told which host is gone; `ready`: which are empty now."""
    gang: str
    """Its name; empty where it is to be formed."""
    queue: str
    hosts: tuple[str, ...]
    """The head first; with `member-lost` then the host that is gone, with `ready` the empty ones."""
    reason: str


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """So many new nodes of one kind, and the jobs that they are for."""

    nodearray: str
    vm_size: str
    spot: bool
    placement_group: str | None
    count: int
    price_per_hour: float
    jobs: dict[str, int]
    id: str = ""
    """Of a launch that a person asked for."""
    detail: str = ""
    """Who asked for it, and why."""


class Fence(msgspec.Struct, frozen=True, kw_only=True):
    """This host is to take no more work."""

    node: str
    hostname: str
    reason: FenceReason
    detail: str = ""
    """Who asked for it, and why, where somebody did."""


class Unfence(msgspec.Struct, frozen=True, kw_only=True):
    """This host is to take work again."""

    node: str
    hostname: str
    reason: str


class Delete(msgspec.Struct, frozen=True, kw_only=True):
    """This node is to be ended."""

    node: str
    node_id: str
    reason: DeleteReason
    detail: str = ""
    """Who asked for it, and why, where somebody did."""


class Keep(msgspec.Struct, frozen=True, kw_only=True):
    """This node stays."""

    node: str
    node_id: str
    reason: KeepReason
    jobs: dict[str, int] = msgspec.field(default_factory=dict)
    detail: str = ""


class Unserved(msgspec.Struct, frozen=True, kw_only=True):
    """So many slots of this job have no place, and why."""

    job: str
    count: int
    reason: str
    detail: str


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """Money per hour."""

    before: float
    added: float


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One decision. Two plans of one snapshot differ in `planning_seconds` only."""

    version: int = 1
    join: tuple[GivenQueues, ...] = ()
    gangs: tuple[GangOrder, ...] = ()
    launch: tuple[Launch, ...] = ()
    create: tuple[Launch, ...] = ()
    """What people want launched besides."""
    fence: tuple[Fence, ...] = ()
    unfence: tuple[Unfence, ...] = ()
    delete: tuple[Delete, ...] = ()
    keep: tuple[Keep, ...] = ()
    unserved: tuple[Unserved, ...] = ()
    warnings: tuple[str, ...] = ()
    """What holds something back, each with what ends that."""
    price_per_hour: Price
    decided_by: str
    planning_seconds: float


def kept_for(plan: Plan) -> Mapping[str, Sequence[Keep]]:
    """By queue: the nodes that stay and have work of it, planned or running. Other queues are not in it."""
    found: dict[str, dict[str, Keep]] = {}
    for entry in plan.keep:
        for job in entry.jobs:
            for queue in (job, job.rpartition(" on ")[0]):
                found.setdefault(queue, {})[entry.node_id] = entry
    return {queue: tuple(entries.values()) for queue, entries in found.items()}


class Places:
    """The places that a plan has for what waits in one queue, by where they are."""

    def __init__(self, plan: Plan, queue: str, kept: Sequence[Keep] | None = None) -> None:
        """`kept`: the nodes that `kept_for` has for this queue, for who asks of many queues."""
        kept = plan.keep if kept is None else kept
        planned = [entry for entry in kept if queue in entry.jobs]
        # What runs already goes by the name of its queue and its host, and its slots take more of the same.
        running = f"{queue} on "
        self.up = {e.node: e.jobs[queue] for e in planned if e.reason not in COMING_UP}
        """By node. Likewise of those that boot, and (by kind of machine) of those that are asked for."""
        self.booting = {e.node: e.jobs[queue] for e in planned if e.reason in COMING_UP}
        self.asked_for = {
            f"{launch.nodearray}/{launch.vm_size}": launch.jobs[queue]
            for launch in plan.launch
            if queue in launch.jobs
        }
        self.unserved = [entry for entry in plan.unserved if entry.job == queue]
        busy = sum(count for e in kept for job, count in e.jobs.items() if job.startswith(running))
        self.busy = busy
        """Slots in which one of them runs."""
        self.count = busy + sum(sum(of.values()) for of in (self.up, self.booting, self.asked_for))

    def next_seconds(self, run_seconds: float | None, boot_seconds: float) -> float | None:
        """Until the first of those that wait begins: at once where there is room, or as soon as a slot is
        free (of so many that are busy, the first one) or a node is up. None where that cannot be told.
        """
        if self.up:
            return 0.0
        ways = []
        if self.busy and run_seconds is not None:
            ways.append(run_seconds / (self.busy + 1))
        if boot_seconds and (self.booting or self.asked_for):
            ways.append(boot_seconds)
        return min(ways, default=None)

    def last_seconds(self, waiting: int, run_seconds: float | None, boot_seconds: float) -> float | None:
        """Until the last of so many begins, as `done_seconds` reckons."""
        done = self.done_seconds(waiting, run_seconds, boot_seconds)
        return None if done is None or run_seconds is None else done - run_seconds

    def done_seconds(self, waiting: int, run_seconds: float | None, boot_seconds: float) -> float | None:
        """Until the last of so many has ended, if no more come: one after the other in each place, once
        those that come are there. None where the run time is unknown, or some have no place.
        """
        if not self.count or run_seconds is None or self.unserved:
            return None
        late = boot_seconds if self.booting or self.asked_for else 0.0
        return -(-waiting // self.count) * run_seconds + late
