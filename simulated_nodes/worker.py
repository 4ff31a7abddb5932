"""A worker that is only pretended: what it has, what it was told, what it runs. Knows no broker.

It keeps the contract of `celery_resources` towards the control side: it runs only what fits, obeys `join`,
`fence` and `unfence`, and gives the same account of itself. What it does not do is compute: a task takes
its time and succeeds.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cyclecloud_emulator.fleet.machine import Machine
from simulated_nodes.gangs import FOLLOWS, WAITS, SimGang, is_gang

DEFAULT_QUEUE = "celery"
"""Consumed until the control side says otherwise."""
ONE_CPU: Mapping[str, Any] = {"constraints": {"ncpus": 1}}
"""What a task needs that says nothing."""
_MEMORY = {"memb": 1, "memkb": 2**10, "memmb": 2**20, "memgb": 2**30, "memtb": 2**40}
_PARTS = 1_000_000
"""Counters are whole millionths, so that nothing drifts."""
_pids = itertools.count(1_000_001)
"""Process ids that no real process of this machine has."""


@dataclass(kw_only=True, slots=True)
class SimStanding:
    """What the control side last told a node; kept when its worker ends and another is started."""

    joined: dict[str, Mapping[str, Any]] | None = None
    """Requirements by queue; None if it was never told."""
    fenced: bool = False
    fence_reason: str = ""
    gang: SimGang | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SimJob:
    """One task that runs on a node, or waits there for its time."""

    id: str
    name: str
    queue: str
    requirement: Mapping[str, Any]
    delivery: Any
    """What the broker delivered (`wire.Delivery`), to be acknowledged or given back."""
    amounts: Mapping[str, int]
    exclusive: bool
    seconds: float
    started: float = 0.0


@dataclass(kw_only=True, eq=False)
class SimWorker:
    """The worker of one node."""

    machine: Machine
    standing: SimStanding
    started: float
    pid: int = field(default_factory=lambda: next(_pids))
    running: dict[str, SimJob] = field(default_factory=dict)
    leaving: bool = False
    """Told to shut down: takes nothing more, ends with its last task."""
    ends_at: float | None = None
    """When it is ended by force."""
    processed: int = 0
    lost_member: str = ""
    """Host of a member that the gang it leads has lost."""
    returned: int = 0
    """Messages that it gave back."""
    pace: float = 0.0
    """Seconds that it was told to let pass between two accounts."""
    told_at: float = 0.0
    """When it last gave an account unasked."""

    def __post_init__(self) -> None:
        if self.standing.gang is not None:
            # A worker that is started again follows: its task, if it led, goes to another reservation.
            self.standing.gang.role = FOLLOWS
        self.nodename = f"celery@{self.machine.hostname}"
        self.total = amounts_of(self.machine.resources())
        self._free = dict(self.total)
        self._seq = itertools.count(1)
        self.events = 0
        """Accounts that went out as events."""
        self._ended: dict[str, dict[str, tuple[int, float]]] = {}
        """By queue and name of the task: runs, and their seconds in all."""

    @property
    def queues(self) -> list[str]:
        """Queues that it serves."""
        return [DEFAULT_QUEUE] if self.standing.joined is None else sorted(self.standing.joined)

    @property
    def serves(self) -> list[str]:
        """Queues that it takes messages from: those it joined, or the one of the gang that it leads."""
        gang = self.standing.gang
        if gang is not None:
            waits = gang.role == WAITS and not (gang.lacks or self.running)
            return [gang.queue] if waits else []
        return [name for name in self.queues if not is_gang(self.requirement_of(name))]

    def requirement_of(self, queue: str) -> Mapping[str, Any]:
        """What tasks of a queue need, if they do not say so themselves."""
        gang = self.standing.gang
        if gang is not None and gang.queue == queue and gang.requirement is not None:
            return gang.requirement
        return (self.standing.joined or {}).get(queue, ONE_CPU)

    @property
    def is_open(self) -> bool:
        """Whether it takes work."""
        return not (self.leaving or self.standing.fenced)

    def has_room(self, amounts: Mapping[str, int], exclusive: bool) -> bool:
        """Whether such a task could start now."""
        if exclusive and self.running:
            return False
        if len(self.running) >= self.machine.vcpus or any(job.exclusive for job in self.running.values()):
            return False
        return all(self._free.get(name, 0) >= amount for name, amount in amounts.items())

    def begin(self, job: SimJob) -> None:
        """Take a task."""
        self.running[job.id] = job
        self._add(job.amounts, -1)

    def end(self, job_id: str) -> SimJob:
        """A task ended, or was taken away."""
        job = self.running.pop(job_id)
        self._add(job.amounts, 1)
        return job

    def count(self, job: SimJob, seconds: float) -> None:
        """A task ran to its end."""
        names = self._ended.setdefault(job.queue, {})
        runs, before = names.get(job.name, (0, 0.0))
        names[job.name] = (runs + 1, before + seconds)

    def _add(self, amounts: Mapping[str, int], sign: int) -> None:
        for name, amount in amounts.items():
            if name in self._free:
                self._free[name] += sign * amount

    def account(self) -> dict[str, Any]:
        """What it tells about itself, on request and as an event."""
        taken_whole = any(job.exclusive for job in self.running.values())
        return {
            "hostname": self.machine.hostname,
            "nodename": self.nodename,
            "pid": self.pid,
            "total": self.machine.resources(),
            "free": {
                name: 0 if taken_whole else _in_words(name, self._free) for name in self.machine.resources()
            },
            "running": [
                {
                    "id": job.id,
                    "name": job.name,
                    "queue": job.queue,
                    "requirement": dict(job.requirement),
                    "started": job.started,
                }
                for job in self.running.values()
            ],
            "ended": {queue: _added(names.values()) for queue, names in self._ended.items()},
            "ended_tasks": {
                queue: {name: _added([each]) for name, each in names.items()}
                for queue, names in self._ended.items()
            },
            "held": [],
            "scheduled": 0,
            "queues": self.queues,
            "fenced": self.standing.fenced,
            "fence_reason": self.standing.fence_reason,
            "gang": None if self.standing.gang is None else self.standing.gang.told(),
            "returned": self.returned,
            "properties": self.machine.properties(),
            "pace": self.pace,
            "garbage": 0,
            "coming": {"more": 0, "tasks": [], "went_back": []},
            "seq": next(self._seq),
            "events": self.events,
            "started": self.started,
            # A machine of its own, as a real one would be; no process of it can be looked at.
            # All of them speak over one connection.
            "named": False,
            "machine": {"host": self.machine.hostname, "addresses": [], "space": ""},
        }


def _added(runs: Iterable[tuple[int, float]]) -> list[float]:
    counts, seconds = zip(*runs, strict=True)
    return [sum(counts), round(sum(seconds), 3)]


def amounts_of(constraints: Mapping[str, Any]) -> dict[str, int]:
    """Counters out of constraints or resources: numbers only, memory of every unit in one counter."""
    amounts: dict[str, int] = {}
    for name, value in constraints.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        counter = "memory" if name in _MEMORY else name
        amount = round(value * _MEMORY.get(name, 1) * _PARTS)
        amounts[counter] = max(amounts.get(counter, 0), amount)
    return amounts


def is_exclusive(requirement: Mapping[str, Any]) -> bool:
    """Whether a task wants the node for itself."""
    return bool(requirement.get("exclusive")) or requirement.get("constraints", {}).get("exclusive") is True


def _in_words(name: str, amounts: Mapping[str, int]) -> float:
    counter = "memory" if name in _MEMORY else name
    value = amounts.get(counter, 0) / _PARTS / _MEMORY.get(name, 1)
    return int(value) if value.is_integer() else value
