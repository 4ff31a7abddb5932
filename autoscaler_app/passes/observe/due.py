"""Work that is announced for later, told apart from work that waits now. Pure.

A message with an ETA stands in its queue like any other, and is counted with its depth, until a worker takes
it and keeps it until its time. So one that is known to be in the queue, and is not due for longer than a node
takes to boot, is taken off what waits; one that will be due by then is demand from now on, wherever it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from autoscaler_app.listening.activity.coming import THE_BROKER, ComingTask
from autoscaler_app.listening.activity.hosts import HostView

MOST_NAMED = 1_000
"""Times named for one queue; of more, the soonest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """One queue, with what is for later set apart."""

    waiting: int
    """Tasks that could run now, if there were a place."""
    soon: tuple[float, ...]
    """Seconds from now at which tasks fall due, soonest first; only those within the horizon."""
    later: int
    """Tasks due after the horizon: known, and nothing is to be done for them yet."""


def due_by_queue(
    waiting: Mapping[str, int],
    coming: Iterable[ComingTask],
    hosts: Iterable[HostView],
    now: datetime,
    horizon: timedelta,
) -> dict[str, Due]:
    """Every queue of `waiting` (the depths that the broker tells), and what is coming there.

    `horizon` is how long before its time a task becomes demand: boot time and a margin. Whatever is not
    certain counts as waiting: a node too early costs a little money, a task that nobody looks after is lost.
    """
    by_queue: defaultdict[str, list[ComingTask]] = defaultdict(list)
    for task in coming:
        if task.at > now:
            by_queue[task.queue].append(task)
    unplaced = _held_without_a_name(coming_tasks=[t for q in by_queue.values() for t in q], hosts=hosts)
    found = {}
    for queue, depth in waiting.items():
        tasks = sorted(by_queue.get(queue, ()), key=lambda task: task.at)
        in_queue = max(0, sum(not task.held_by for task in tasks) - unplaced)
        soon = [(task.at - now).total_seconds() for task in tasks if task.at - now <= horizon]
        found[queue] = Due(
            waiting=max(0, depth - in_queue), soon=tuple(soon[:MOST_NAMED]), later=len(tasks) - len(soon)
        )
    return found


def _held_without_a_name(*, coming_tasks: Iterable[ComingTask], hosts: Iterable[HostView]) -> int:
    """How many tasks for later are held by workers that did not tell which ones.

    Any queue may be missing them, so each is reckoned without them.
    """
    hosts = tuple(hosts)
    exact = {worker.nodename for host in hosts if host.unnamed is not None for worker in host.workers}
    no_worker = exact | {"", THE_BROKER}
    named = sum(task.held_by not in no_worker for task in coming_tasks)
    others = sum(host.scheduled for host in hosts if host.unnamed is None)
    return max(0, others - named) + sum(host.unnamed or 0 for host in hosts)
