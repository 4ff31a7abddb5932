"""The life of one node, as far as passes have seen it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

What = Literal["launched", "seen", "ready", "joined", "fenced", "unfenced", "shut-down", "deleted", "gone"]

MOST_MOMENTS = 60
"""Moments kept of one node: the first and the latest. One that is fenced and unfenced all day has many."""

Counted = dict[str, tuple[int, float]]
"""By queue: how many runs have ended, and their seconds in all."""


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to it, or was done to it."""

    at: datetime
    what: What
    why: str = ""
    number: int
    """The pass that saw or did it."""


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """One node."""

    node_id: str
    node: str
    nodearray: str
    vm_size: str
    spot: bool = False
    hostname: str = ""
    state: str = ""
    """The cloud's own word, when it was seen last."""
    price_per_hour: float = 0.0
    jobs: dict[str, int] = {}
    """What it was bought for, by name of the job; empty where no pass of ours launched it."""
    moments: tuple[Moment, ...] = ()
    seen: datetime
    """Until when this is told."""
    ran: Counted = {}
    booting_seconds: float = 0.0
    busy_seconds: float = 0.0
    """At least one task ran; where many are shorter than a pass is away, no more than they took together."""
    idle_seconds: float = 0.0
    unheard_seconds: float = 0.0
    """It was up, and what it did was not told."""
    cost: float = 0.0
    """At the prices that the settings gave at the time."""
    last_count: Counted = {}
    """What its workers themselves counted when it was seen last: they begin anew with each start."""
    last_running: dict[str, float] = {}
    """By queue: how long the tasks that ran then had been running, added up, in seconds."""
    last_tasks: dict[str, Counted] = {}
    """By queue: `last_count`, by name of the task."""
    last_running_tasks: dict[str, dict[str, float]] = {}
    """By queue: `last_running`, by name of the task."""

    def moment(self, what: What) -> Moment | None:
        """The first of this kind; None if there was none."""
        return next((moment for moment in self.moments if moment.what == what), None)

    @property
    def gone(self) -> datetime | None:
        """When it was no longer there; None while it is."""
        last = self.moment("gone")
        return None if last is None else last.at

    @property
    def runs(self) -> int:
        """How many runs of tasks have ended on it."""
        return sum(count for count, _ in self.ran.values())

    @property
    def busy_share(self) -> float | None:
        """Of the time in which it was up and heard; None before that."""
        up = self.busy_seconds + self.idle_seconds
        return self.busy_seconds / up if up > 0 else None


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """Money and machine time of one day (UTC) that went to one use."""

    day: str
    """As in 2026-11-22."""
    nodearray: str
    vm_size: str
    use: str
    """The queue whose tasks ran; or `IDLE`, `BOOTING`, `UNHEARD`."""
    task: str = ""
    """The name of the tasks that ran, where the worker tells of it; `OTHERS`: there were too many."""
    seconds: float
    money: float


OTHERS = "(others)"
IDLE, BOOTING, UNHEARD = "(idle)", "(booting)", "(unheard)"
