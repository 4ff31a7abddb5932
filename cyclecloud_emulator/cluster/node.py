"""A node as the server keeps it, and the table of its life."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from cyclecloud_emulator.settings import Size


class Phase(Enum):
    """Where a node is in its life: the coarse `Status` and the finer `State` that the API shows."""

    OFF = ("Off", "Terminated")
    ACQUIRING = ("Acquiring", "Allocation")
    BOOTING = ("Preparing", "Initialization")
    CONFIGURING = ("Preparing", "Configuration")
    READY = ("Ready", "Started")
    FAILED = ("Failed", "Failed")
    UNAVAILABLE = ("Unavailable", "Failed")
    STOPPING = ("Stopping", "TerminationPreparation")
    DEALLOCATED = ("Deallocated", "Deallocated")
    TERMINATING = ("Terminating", "Termination")

    @property
    def status(self) -> str:
        """The word for `Status`."""
        return self.value[0]

    @property
    def state(self) -> str:
        """The word for `State`."""
        return self.value[1]

    @property
    def in_use(self) -> bool:
        """Counts against limits and quotas: from the first request for a machine until it is gone."""
        return self not in (Phase.OFF, Phase.DEALLOCATED)

    @property
    def is_leaving(self) -> bool:
        """On its way out."""
        return self in (Phase.STOPPING, Phase.TERMINATING)


STARTED, TERMINATED, DEALLOCATED = "Started", "Terminated", "Deallocated"
"""The values of `TargetState`."""


@dataclass(kw_only=True, slots=True, eq=False)
class Node:
    """One node record, and what the emulator knows beyond it. Changed only by `world` and `life`."""

    id: str
    name: str
    cluster: str
    nodearray: str
    """Empty for a head node."""
    vm_size: str
    size: Size
    spot: bool
    zone: str
    created_at: float
    phase: Phase = Phase.ACQUIRING
    target: str = STARTED
    message: str = ""
    attributes: dict[str, object] = field(default_factory=dict)
    """What the create laid over the nodearray's attributes."""
    keep_alive: bool = False
    fixed: bool = False
    shutdown_policy: str = "Terminate"
    placement_group: str | None = None
    request_id: str | None = None
    instance_id: str | None = None
    private_ip: str | None = None
    hostname: str | None = None
    evicted_at: float | None = None
    """When the cloud will take the machine back, if it has said so."""
    phase_failed: str | None = None
    changed_at: float = 0.0
    ready_at: float | None = None
    generation: int = 0
    """Raised whenever its future changes, so that steps planned before are void."""
    after_stop: Phase | None = None
    """What it becomes when its machine is gone; None: the record vanishes."""
    phases: dict[str, tuple[float, float | None]] = field(default_factory=dict)
    """Start and end of the orchestrator's phases, for PhaseMap."""

    @property
    def has_machine(self) -> bool:
        """Whether there is a machine, which costs money."""
        return self.instance_id is not None

    def enter(self, phase: Phase, now: float, message: str = "") -> None:
        """Go to another phase of its life; what was planned before is void."""
        self.phase = phase
        self.message = message
        self.changed_at = now
        self.generation += 1
