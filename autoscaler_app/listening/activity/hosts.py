"""What is believed of one host: frozen views of its workers, put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from autoscaler_app.listening.activity.reports import GangSaid

if TYPE_CHECKING:
    from autoscaler_app.listening.activity.worker import Worker

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


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerView:
    """One worker process."""

    nodename: str
    pid: int | None
    heard: datetime
    """Last sign of life."""
    told: datetime | None
    """Last full report; None: what it does is unknown."""
    fenced: bool
    fence_reason: str
    offline: bool
    """It said goodbye, and may still be finishing tasks: only its note that it left proves it empty."""
    scheduled: int
    """Tasks with an ETA that it holds."""
    eventless_since: datetime | None = None
    """It has answered since then, and never sent an event; None: it has sent one."""
    pace: float
    """Seconds that it was told to let pass between two reports; 0: none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HostView:
    """All workers of one host."""

    hostname: str
    total: Mapping[str, Amount] = field(default_factory=dict)
    free: Mapping[str, Amount] = field(default_factory=dict)
    running: tuple[RunningTask, ...] = ()
    held: tuple[HeldTask, ...] = ()
    scheduled: int = 0
    queues: tuple[str, ...] = ()
    fenced: bool = False
    """Every worker of it says that it is fenced."""
    gang: GangSaid | None = None
    """The gang that one of its workers says it is in."""
    workers: tuple[WorkerView, ...] = ()
    heard: datetime | None = None
    """The oldest of its workers' last signs of life."""
    told: datetime | None = None
    """The oldest of its workers' last full reports; None if one of them never told: then it is unknown."""
    offline: bool = False
    """Every worker of it said goodbye."""


def host_view(hostname: str, workers: Sequence[Worker]) -> HostView:
    """The workers of one host as one: what they have and do adds up; the oldest word gives the age."""
    views = tuple(worker.view() for worker in workers)
    told = [view.told for view in views]
    return HostView(
        hostname=hostname,
        total=_sum([worker.total for worker in workers]),
        free=_sum([worker.free for worker in workers]),
        running=tuple(task for worker in workers for task in worker.running.values()),
        held=tuple(task for worker in workers for task in worker.held.values()),
        scheduled=sum(view.scheduled for view in views),
        queues=tuple(sorted({queue for worker in workers for queue in worker.queues})),
        fenced=all(view.fenced for view in views),
        gang=next((worker.gang for worker in workers if worker.gang is not None), None),
        workers=views,
        heard=min(view.heard for view in views),
        told=None if None in told else min(moment for moment in told if moment is not None),
        offline=all(view.offline for view in views),
    )


def _sum(parts: Sequence[Mapping[str, Amount]]) -> dict[str, Amount]:
    """Counters add up; of texts and truths the first counts."""
    total: dict[str, Amount] = {}
    for part in parts:
        for key, value in part.items():
            before = total.get(key)
            if _is_number(value) and _is_number(before):
                total[key] = before + value  # type: ignore[operator]
            elif key not in total:
                total[key] = value
    return total


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
