"""What the planner answers: what to launch, what each node is for, and what stays unserved, with reasons."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import Any, Literal

from scalelib.node import Node, ResourceValue
from scalelib.room import Room


class NodeReason(Enum):
    """Why a node is kept, or what it is if it is not: the first of these that holds."""

    FAILED = "failed"
    """The cloud could not start it or lost it. Takes no work; somebody has to clean it up."""
    BOOT_TIMED_OUT = "boot-timed-out"
    """It was asked for longer ago than `boot_timeout` and never became ready. Takes no work."""
    LEAVING = "leaving"
    """On its way out. Takes no work; still counts against limits."""
    OFF = "off"
    """Deallocated, off, terminated or in a state that is not understood. Takes no work."""
    RUNNING = "running"
    """Work runs on it now."""
    MATCHED = "matched"
    """Work that waits is planned for it."""
    WARM = "warm"
    """Only the warm pool needs it."""
    KEEP_ALIVE = "keep-alive"
    """The cloud says that it is never to be ended."""
    UNMANAGED = "unmanaged"
    """Only the scheduler knows it; it is not ours to end."""
    BOOTING = "booting"
    """Not up yet and no work is planned for it; it gets its time to start."""
    HELD = "held"
    """Nothing runs there, and it is kept for work that came before what could have it now."""
    IDLE = "idle"
    """Up, and nothing runs there or is planned for it."""


class UnservedReason(Enum):
    """Why slots of a job have no place: the closed list."""

    NEVER = "never"
    """The job's own constraints refuse every node."""
    NO_BUCKETS = "no-buckets"
    """There is no kind of machine at all to launch."""
    UNKNOWN_RESOURCE = "unknown-resource"
    """A constraint names a resource that no node and no bucket has."""
    NEVER_FITS = "never-fits"
    """No bucket can ever hold it, whatever the limits."""
    TOLD_LESS = "told-less"
    """A bucket would hold it by what the cloud promises, and none by what its machines were seen to have."""
    FUTILE = "futile"
    """Machines were bought for it and never ran any of it; the control side says so, not the planner."""
    PAUSED = "paused"
    """A person has paused growth for it; the control side says so, not the planner."""
    NO_MONEY = "no-money"
    """There is no money left for the machines that it needs; the control side says so, not the planner."""
    SET_ASIDE = "set-aside"
    """Every bucket that fits is set aside for now, after a capacity failure say, or takes no new nodes."""
    RESERVED = "reserved"
    """All that could hold it is for work that asks for what those machines have (GPUs, say)."""
    SHARED_RESOURCE = "shared-resource"
    """What the whole cluster shares (licences) is used up."""
    GANG_INCOMPLETE = "gang-incomplete"
    """Some of a gang's nodes have a place, not all; nothing is reserved."""
    BUCKET = "bucket"
    NODEARRAY = "nodearray"
    CLUSTER = "cluster"
    QUOTA_FAMILY = "quota-family"
    QUOTA_REGIONAL = "quota-regional"
    QUOTA_SPOT = "quota-spot"
    PLACEMENT_GROUP = "placement-group"


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """So many new nodes of one kind."""

    bucket_id: str
    nodearray: str
    vm_size: str
    spot: bool = False
    placement_group: str | None = None
    count: int
    price_per_hour: float
    """Money per hour of all of them."""
    vcpu_count: int = 0
    """Of one of them."""
    jobs: Mapping[str, int]
    """For which jobs, each with its slots there."""
    names: Sequence[str]
    """The names that they will probably get: those of `starts`, then the lowest free numbers of the
    nodearray."""
    starts: tuple[Node, ...] = ()
    """Deallocated nodes that are started again: so many fewer of `count` are created."""
    per_node: tuple[tuple[int, Mapping[str, int]], ...] = ()
    """(so many nodes in a row, jobs on each with their slots), in the order of `names`."""
    rooms: tuple[Room, ...] = field(default=(), compare=False, repr=False)
    """What each has and what is left free of it, an entry for each of `per_node`."""

    def planned(self) -> Iterator[tuple[str, Mapping[str, int]]]:
        """Each new node's name with the jobs planned for it."""
        names = iter(self.names)
        for count, jobs in self.per_node:
            for _ in range(count):
                yield next(names), jobs


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedNode:
    """A node that is to be launched."""

    name: str
    """The one that it has, or will probably get."""
    exists: bool
    """It is deallocated, and started again."""
    nodearray: str
    vm_size: str
    bucket_id: str
    spot: bool
    placement_group: str | None
    vcpu_count: int
    jobs: Mapping[str, int]
    """Those planned for it, each with its slots there."""
    room: Room | None = field(default=None, compare=False, repr=False)
    """What it will have."""


class NewNodes(list[PlannedNode]):
    """The nodes that are to be launched. Where `new_nodes` was taken for their number, as it once was, it
    still is: it adds to a number and compares with one.
    """

    def __int__(self) -> int:
        return len(self)

    __index__ = __int__

    def __eq__(self, other: object) -> bool:
        return len(self) == other if isinstance(other, int) else super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None

    def __lt__(self, other: Any) -> bool:
        return len(self) < other if isinstance(other, int) else super().__lt__(other)

    def __le__(self, other: Any) -> bool:
        return len(self) <= other if isinstance(other, int) else super().__le__(other)

    def __gt__(self, other: Any) -> bool:
        return len(self) > other if isinstance(other, int) else super().__gt__(other)

    def __ge__(self, other: Any) -> bool:
        return len(self) >= other if isinstance(other, int) else super().__ge__(other)

    def __add__(self, other: Any) -> Any:
        return len(self) + other if isinstance(other, int) else super().__add__(other)

    def __radd__(self, other: Any) -> Any:
        return other + len(self) if isinstance(other, int) else NotImplemented


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeVerdict:
    """What the plan makes of one node that exists."""

    node: Node
    jobs: Mapping[str, int]
    """The jobs that run or are planned there, each with its slots."""
    running: Mapping[str, int] = field(default_factory=dict)
    """Those of them that run there now."""
    reason: NodeReason
    detail: str
    """One sentence for people."""
    idle_for: timedelta | None = None
    """How long nothing ran there or was planned for it; None while something is, and before it is ready."""
    idle_timed_out: bool = False
    boot_timed_out: bool = False
    needed: bool
    """The plan could not do without it: with all work packed anew onto the nodes there are, it gets some."""
    surplus_for: timedelta | None = None
    """How long it has not been needed; None while it is."""

    warm: bool = False
    """Slots of the warm pool are planned there."""
    held_for: str = ""
    """The job that it is kept for: it came first, and does not fit yet. Nothing that came later is planned
    there."""
    rooms: Callable[[Node], Room] | None = field(default=None, compare=False, repr=False)
    """Works out what nodes have: only if somebody asks."""

    @property
    def room(self) -> Room | None:
        """What it has, and what is left free of it."""
        return self.rooms(self.node) if self.rooms is not None else None

    @property
    def resources(self) -> Mapping[str, ResourceValue]:
        """All that it has, by name: its own, those of `default_resources`, and the built-in ones."""
        return room.resources if (room := self.room) is not None else {}

    @property
    def matched(self) -> bool:
        """Something runs there or is planned for it."""
        return bool(self.jobs)


@dataclass(frozen=True, kw_only=True, slots=True)
class Unserved:
    """Slots of one job that have no place in this plan. With `node_count`, a slot is a whole gang."""

    job: str
    count: int
    reason: UnservedReason
    detail: str
    """One sentence that says what would change it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """The plan."""

    launches: tuple[Launch, ...]
    nodes: tuple[NodeVerdict, ...]
    """One for each node that exists, in the order given."""
    unserved: tuple[Unserved, ...]
    price_before: float
    """Money per hour of the nodes that exist and run."""
    price_added: float
    """Money per hour of what is to be launched."""
    decided_by: Literal["greedy", "solver"] = "greedy"
    gap: float | None = None
    """How far the price of what is launched is from the bound, relative to it; None if nothing was proved."""
    bound: float | None = None
    """No mix that serves the same work launches for less; None if nothing was proved."""

    resource_names: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
    """Every resource that some node has or some bucket would give."""

    @property
    def new_nodes(self) -> NewNodes:
        """The nodes that are to be launched, each with its jobs."""
        return NewNodes(each for launch in self.launches for each in _nodes_of(launch))

    @property
    def new_count(self) -> int:
        """How many nodes are to be launched."""
        return sum(launch.count for launch in self.launches)

    @property
    def matched_nodes(self) -> list[NodeVerdict]:
        """Nodes that something runs on or is planned for."""
        return [verdict for verdict in self.nodes if verdict.matched and not verdict.node.state.is_failed]

    @property
    def unmatched_nodes(self) -> list[NodeVerdict]:
        """Nodes that nothing runs on or is planned for; those that failed are apart."""
        return [verdict for verdict in self.nodes if not verdict.matched and not verdict.node.state.is_failed]

    @property
    def failed_nodes(self) -> list[NodeVerdict]:
        """Nodes that the cloud could not start or lost."""
        return [verdict for verdict in self.nodes if verdict.node.state.is_failed]


def _nodes_of(launch: Launch) -> Iterator[PlannedNode]:
    rooms = launch.rooms or (None,) * len(launch.per_node)
    names, started = iter(launch.names), {node.name for node in launch.starts}
    for (count, jobs), room in zip(launch.per_node, rooms, strict=True):
        for _ in range(count):
            yield PlannedNode(
                name=(name := next(names)),
                exists=name in started,
                nodearray=launch.nodearray,
                vm_size=launch.vm_size,
                bucket_id=launch.bucket_id,
                spot=launch.spot,
                placement_group=launch.placement_group,
                vcpu_count=launch.vcpu_count,
                jobs=jobs,
                room=room,
            )
