"""The workers of one host, put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autoscaler_app.listening.activity.hosts import Amount, HostView
from autoscaler_app.listening.activity.worker import Worker


def host_view(hostname: str, workers: Sequence[Worker]) -> HostView:
    """The workers of one host as one: what they have and do adds up; the oldest word gives the age.

    Of several lives of one node name the youngest comes last. Until the others are proven gone, what is said
    under that name is not known to be all: the host is unknown.
    """
    youngest = {worker.nodename: worker for worker in workers}
    views = tuple(worker.view(youngest[worker.nodename]) for worker in workers)
    told = [None if view.is_earlier else view.told for view in views]
    return HostView(
        hostname=hostname,
        total=_sum([worker.total for worker in youngest.values()]),
        free=_sum([worker.free for worker in youngest.values()]),
        running=tuple(task for worker in workers for task in worker.running.values()),
        held=tuple(task for worker in workers for task in worker.held.values()),
        ended=_added([worker.ended for worker in workers]),
        ended_tasks=_ended_tasks(workers),
        scheduled=sum(view.scheduled for view in views),
        unnamed=None if any(w.unnamed is None for w in workers) else sum(w.unnamed or 0 for w in workers),
        queues=tuple(sorted({queue for worker in workers for queue in worker.queues})),
        fenced=all(view.fenced for view in views),
        gang=next((worker.gang for worker in workers if worker.gang is not None), None),
        workers=views,
        heard=min(view.heard for view in views),
        told=None if None in told else min(moment for moment in told if moment is not None),
        offline=all(view.offline for view in views),
        worked=max((view.worked for view in views if view.worked is not None), default=None),
    )


Counted = Mapping[str, tuple[int, float]]


def _added(parts: Sequence[Counted]) -> Counted:
    if len(parts) == 1:
        return parts[0]
    sums: dict[str, tuple[int, float]] = {}
    for part in parts:
        for name, (runs, seconds) in part.items():
            before = sums.get(name, (0, 0.0))
            sums[name] = (before[0] + runs, before[1] + seconds)
    return sums


def _ended_tasks(workers: Sequence[Worker]) -> Mapping[str, Counted]:
    if len(workers) == 1:
        return workers[0].ended_tasks
    queues = {queue for worker in workers for queue in worker.ended_tasks}
    return {queue: _added([worker.ended_tasks.get(queue, {}) for worker in workers]) for queue in queues}


def _sum(parts: Sequence[Mapping[str, Amount]]) -> dict[str, Amount]:
    """Counters add up; of texts and truths the first counts."""
    if len(parts) == 1:  # nearly every host has one worker
        return dict(parts[0])
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
