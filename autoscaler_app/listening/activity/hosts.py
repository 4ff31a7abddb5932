"""What is believed of one host and its workers: frozen."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from autoscaler_app.listening.activity.accounts import GangSaid

Amount = int | float | str | bool | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunningTask:
    """A task that a worker started or handed to its pool."""

    id: str
    name: str
    queue: str
    """Empty if nobody has said it yet."""
    started: datetime
    """By the clock of the worker."""
    nodename: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldTask:
    """A task that a worker received and did not start."""

    id: str
    queue: str
    name: str = ""


def process_name(nodename: str, pid: int | None, started: float) -> str:
    """Which process tells under a node name: a name says little, two may have it, or one after the other."""
    if pid is None:
        return nodename
    return f"{nodename} (process {pid}{f', started {started:.6f}' if started else ''})"


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerView:
    """One worker process."""

    nodename: str
    pid: int | None
    heard: datetime
    """Last sign of life."""
    told: datetime | None
    """Last full account; None: what it does is unknown."""
    worked: datetime | None = None
    """When it last was known to run a task, or to have just ended one."""
    fenced: bool
    fence_reason: str
    offline: bool
    """It said goodbye, and may still be finishing tasks: only its note that it left proves it empty."""
    scheduled: int
    """Tasks with an ETA that it holds."""
    started: float = 0.0
    """When it started, by its own clock, in seconds since the epoch: with the pid it says which life this is.
    0: not told yet."""
    began: float = 0.0
    """The same, or, until it has told that, when its first word was heard."""
    is_earlier: bool = False
    """A younger process tells under the same node name, and this one is not proven gone."""
    at_once: bool = False
    """It spoke when the younger one had begun: both are there."""
    eventless_since: datetime | None = None
    """It has answered since then, and never sent an event; None: it has sent one."""
    garbage: int = 0
    """Elements of its queues that it set aside because they were no messages."""
    is_named: bool = False
    """Its connection bears its name in the broker's list: without one there it is not connected."""
    pace: float
    """Seconds that it was told to let pass between two accounts; 0: none."""

    @property
    def process(self) -> str:
        """Its name as a process."""
        return process_name(self.nodename, self.pid, self.started)

    def is_one_of(self, processes: Collection[str]) -> bool:
        """Whether it is one of these; of one that has not said when it started, as far as is known."""
        if self.pid is None:
            return any(process.partition(" (")[0] == self.nodename for process in processes)
        begins = f"{self.process[:-1]},"
        return self.process in processes or (
            not self.started and any(process.startswith(begins) for process in processes)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class HostView:
    """All workers of one host."""

    hostname: str
    total: Mapping[str, Amount] = field(default_factory=dict)
    free: Mapping[str, Amount] = field(default_factory=dict)
    running: tuple[RunningTask, ...] = ()
    held: tuple[HeldTask, ...] = ()
    ended: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    """By queue: runs that ended since its workers started, and their seconds; of very many, the latest."""
    ended_tasks: Mapping[str, Mapping[str, tuple[int, float]]] = field(default_factory=dict)
    """By queue and name of the task: the same."""
    scheduled: int = 0
    unnamed: int | None = None
    """Tasks for later that it holds and has not named; None: it names none."""
    queues: tuple[str, ...] = ()
    fenced: bool = False
    """Every worker of it says that it is fenced."""
    gang: GangSaid | None = None
    """The gang that one of its workers says it is in."""
    workers: tuple[WorkerView, ...] = ()
    heard: datetime | None = None
    """The oldest of its workers' last signs of life."""
    told: datetime | None = None
    """The oldest of its workers' last full accounts; None if one of them never told, or if two processes may
    be telling under one node name: then it is unknown."""
    offline: bool = False
    """Every worker of it said goodbye."""
    worked: datetime | None = None
    """When any of its workers last was known to run a task, or to have just ended one."""

    @property
    def ran(self) -> tuple[str, ...]:
        """Queues of which it has run tasks to their end."""
        return tuple(sorted(self.ended))


def at_work(host: HostView) -> tuple[RunningTask | HeldTask, ...]:
    """What a host runs or holds."""
    return (*host.running, *host.held)
