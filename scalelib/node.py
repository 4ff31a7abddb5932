"""A machine that exists, as the cloud reports it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NewType

NodeId = NewType("NodeId", str)

ResourceValue = str | int | float | bool | None


class NodeState(Enum):
    """The life of a node, in order. The provider maps its cloud's words to these."""

    OFF = "Off"
    ACQUIRING = "Acquiring"
    PREPARING = "Preparing"
    READY = "Ready"
    FAILED = "Failed"
    UNAVAILABLE = "Unavailable"
    STOPPING = "Stopping"
    DEALLOCATED = "Deallocated"
    TERMINATING = "Terminating"
    TERMINATED = "Terminated"
    UNKNOWN = "Unknown"

    @property
    def is_booting(self) -> bool:
        """Asked for and not up yet: capacity to come."""
        return self in (NodeState.ACQUIRING, NodeState.PREPARING)

    @property
    def is_failed(self) -> bool:
        """Not capacity, and somebody has to clean it up."""
        return self in (NodeState.FAILED, NodeState.UNAVAILABLE)

    @property
    def is_leaving(self) -> bool:
        """On its way out: never capacity, still counted against limits."""
        return self in (NodeState.STOPPING, NodeState.TERMINATING)


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """One machine. Equal by value; keyed on `id`, never on `name` (names are reused)."""

    id: NodeId
    name: str
    nodearray: str
    vm_size: str
    bucket_id: str
    """Id of the bucket it belongs to; the empty string if its bucket is not known."""
    state: NodeState
    status: str
    """The cloud's own word for its state, for people."""
    status_message: str = ""
    wanted: bool = True
    """False as soon as the cloud is to end or stop it, whatever its state says."""
    hostname: str | None = None
    """Short host name; None until the node is configured."""
    private_ip: str | None = None
    instance_id: str | None = None
    placement_group: str | None = None
    spot: bool = False
    may_start_again: bool = False
    """It is deallocated, and its nodearray means such nodes to be used again."""
    keep_alive: bool = False
    """True: never to be ended by us."""
    managed: bool = True
    """False: a host that only the scheduler knows. Filled first, never deleted."""
    location: str = ""
    vcpu_count: int = 0
    pcpu_count: int = 0
    gpu_count: int = 0
    memory_gib: float = 0.0
    infiniband: bool = False
    price_per_hour: float = 0.0
    resources: Mapping[str, ResourceValue] = field(default_factory=dict)
    """Resources that this node brings itself; they come before every default resource."""
    software_configuration: Mapping[str, object] = field(default_factory=dict)

    @property
    def is_ready(self) -> bool:
        """Up and meant to stay up."""
        return self.state is NodeState.READY and self.wanted

    @property
    def is_booting(self) -> bool:
        """Capacity to come."""
        return self.state.is_booting and self.wanted


@dataclass(frozen=True, slots=True)
class SchedulerNode:
    """A host that the scheduler knows. It belongs to the cloud's node of the same short host name."""

    hostname: str
    resources: Mapping[str, ResourceValue] = field(default_factory=dict)
    """What it says that it has; laid over what the cloud says of the node, name by name."""
    private_ip: str | None = None
    """Joins it to its node where host names differ."""
    state: str = "running"
    """The scheduler's own word, shown for hosts that are no node of the cloud."""
    closed: bool = False
    """True: it takes no new work now and could be opened again at no cost (fenced)."""
