"""What is said by a worker of itself, and what follows from it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any

import msgspec

MAX_TEXT = 1000
"""Characters of a name or an id in an event."""
MAX_AMOUNTS = 200
"""Resources of one worker."""
MAX_ADDRESSES = 64
"""Of one machine. A node names half as many at most; each is looked up in every pass."""
MAX_COUNT = 2**53
"""Whatever is counted is fewer: beyond that JSON and its readers differ."""
LONGEST_RUN = 366 * 24 * 3600.0
"""Seconds that a task can run: with more than that nobody can reckon."""


class TaskSaid(msgspec.Struct, frozen=True, kw_only=True):
    """One task in an account."""

    id: str
    name: str = ""
    queue: str = ""
    started: float | None = None
    """Seconds since the epoch by the clock of the worker."""


class MachineSaid(msgspec.Struct, frozen=True, kw_only=True):
    """The machine that a worker says it runs on, whatever its node name says."""

    host: str = ""
    """Its own host name."""
    addresses: Annotated[tuple[str, ...], msgspec.Meta(max_length=MAX_ADDRESSES)] = ()
    """Its addresses, but for those that every machine has."""
    space: str = ""
    """Which numbering of processes a pid is of: two that say the same have one process a pid between them."""


class ComingSaid(msgspec.Struct, frozen=True, kw_only=True):
    """A task that waits for its time, or went back to its queue before it."""

    id: str
    queue: str = ""
    at: float
    """When it is due, in seconds since the epoch."""
    back: int = 0
    """Which one of those that went back it is."""


class LaterSaid(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker says of tasks for later."""

    tasks: tuple[ComingSaid, ...] = ()
    """Those that it has, the soonest."""
    more: int = 0
    """How many it has beside them."""
    went_back: tuple[ComingSaid, ...] = ()
    """Those that lately went back to their queues."""


class GangSaid(msgspec.Struct, frozen=True, kw_only=True):
    """The gang that a worker says it is in."""

    id: str
    members: tuple[str, ...]
    """Node names, the head first."""
    role: str
    lacks: tuple[str, ...] = ()
    """Node names that the head waits for: they have not said that they are empty."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The payload of a `worker-resources` event and of the answer to `resources` (see docs/demand.md)."""

    pid: int | None = None
    total: dict[str, Any] = msgspec.field(default_factory=dict)
    free: dict[str, Any] = msgspec.field(default_factory=dict)
    running: list[TaskSaid] = msgspec.field(default_factory=list)
    held: list[TaskSaid] = msgspec.field(default_factory=list)
    ended: dict[str, tuple[int, float]] = msgspec.field(default_factory=dict)
    """By queue: runs that ended since the worker started, and their seconds in all."""
    ended_tasks: dict[str, dict[str, tuple[int, float]]] = msgspec.field(default_factory=dict)
    """By queue and name of the task: the same."""
    scheduled: int = 0
    coming: LaterSaid | None = None
    queues: list[str] = msgspec.field(default_factory=list)
    fenced: bool = False
    fence_reason: str | None = None
    gang: GangSaid | None = None
    pace: float = 0.0
    """Seconds that the worker was told to let pass between two accounts; 0: it was told nothing."""
    garbage: int = 0
    """Elements of its queues that were no messages; the worker has set them aside."""
    named: bool = False
    """Its connection bears its name in the broker's list, as long as it is connected."""
    seq: int = 0
    events: int | None = None
    """Accounts that went out as events, this one included; None: of a worker that does not tell."""
    started: float = 0.0
    """When the worker process started: with the process id it says which life of the worker speaks."""
    machine: MachineSaid = MachineSaid()
    gone: list[int] = msgspec.field(default_factory=list)
    """Of the process ids that it was asked about, those that no process of its machine has."""
    timestamp: float | None = None
    """When it was sent; an answer has none."""

    def __post_init__(self) -> None:
        """Raises ValueError or OverflowError for what a pass could not reckon with."""
        moment(self.started)
        if not 0 <= self.pace < float("inf"):
            raise ValueError(f"pace is {self.pace}; a number of seconds would be right")
        runs = [runs for counts in (self.ended, *self.ended_tasks.values()) for runs, _ in counts.values()]
        for count in (self.scheduled, self.garbage, self.seq, self.events or 0, *runs):
            if not 0 <= count < MAX_COUNT:
                raise ValueError(f"a count is {count}; 0 or more would be right")


@dataclass(frozen=True, slots=True)
class Sent:
    """A task of a watched name was sent."""

    name: str
    queue: str
    at: datetime
    """When that was heard."""


class ChangeKind(Enum):
    """What may make a pass worth while."""

    SENT = "a task was sent"
    NEW = "a worker told of itself for the first time"


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """Something happened that may make a pass worth while."""

    kind: ChangeKind
    hostname: str = ""
    queue: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A run of a task that ended well; or, without task events, several runs that ended."""

    queue: str
    seconds: float
    """How long one of them took, on average."""
    at: datetime
    count: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Counters:
    """What the listener took in since it started, and what it could not keep."""

    workers: int
    coming: int
    events: int
    rejected: int
    """Events that could not be understood."""
    dropped: int
    """Facts that had no room any more."""
    evicted: int
    """Sent tasks whose queue was forgotten to make room: their run times are not counted."""
    gaps: int
    """Accounts that workers sent to who listens, and that never arrived."""
    stale: int
    """Accounts that arrived after a newer one."""


def moment(seconds: float) -> datetime:
    """Seconds since the epoch as an instant. Raises ValueError or OverflowError if it is none."""
    return datetime.fromtimestamp(float(seconds), UTC)


def amounts(said: Mapping[str, Any]) -> dict[str, Any]:
    """What of a worker's resources can be reckoned with and shown: some names, with one value each."""
    return {
        name: value
        for name, value in itertools.islice(said.items(), MAX_AMOUNTS)
        if name.isprintable()
        and len(name) <= MAX_TEXT
        and (value is None or isinstance(value, str | int | float))
        and not (isinstance(value, float) and not math.isfinite(value))
        and not (isinstance(value, str) and (len(value) > MAX_TEXT or not value.isprintable()))
    }


def text(said: Mapping[str, Any], key: str, default: str | None = None) -> str:
    """A text out of a message. Raises KeyError or TypeError if it is missing or no text."""
    value = said[key] if default is None else said.get(key) or default
    if not isinstance(value, str):
        raise TypeError(f"{key} is {value!r}; a text would be right")
    if len(value) > MAX_TEXT or not value.isprintable():
        raise ValueError(f"{key} is {value[:80]!r}; at most {MAX_TEXT} printable characters would be right")
    return value
