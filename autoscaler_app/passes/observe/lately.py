"""Work that ran between two looks: a look sees what runs at that moment, and of short tasks mostly nothing.

Ten nodes that share a task a second would all look idle, and be ended together. So what has ended since the
last look counts as running on average, on the hosts that worked last. It keeps nodes and asks for none.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime

from autoscaler_app.listening.activity import HostView, Run, at_work
from autoscaler_app.passes.snapshot import JobSeen
from celery_resources import Requirement
from celery_resources.settings import ONE_CPU

MOST_AT_ONCE = 1_000_000
"""Tasks of a queue that are taken to have run at once: anybody may tell any number, and none ends a pass."""


def busy_by_queue(runs: Iterable[Run], since: datetime, now: datetime) -> dict[str, float]:
    """How many of these runs went on at once, on average, from then until now."""
    gap = (now - since).total_seconds()
    found: dict[str, float] = {}
    for run in runs:
        inside = min(run.seconds, max(0.0, (run.at - since).total_seconds()))
        if gap > 0:
            found[run.queue] = found.get(run.queue, 0.0) + run.count * inside / gap
    return found


def ran_lately(
    busy: Mapping[str, float],
    views: Iterable[HostView],
    waiting: Mapping[str, int],
    kinds: Mapping[str, Requirement],
) -> tuple[JobSeen, ...]:
    """What ran on average and does not run now, as work on the hosts that worked last. What waits counts
    instead of it.
    """
    views = [view for view in views if not (view.fenced or view.gang)]
    now = Counter(task.queue for view in views for task in at_work(view))
    jobs = []
    for queue, average in sorted(busy.items()):
        more = math.ceil(min(round(average, 3), MOST_AT_ONCE)) - now[queue] - waiting.get(queue, 0)
        hosts = [view for view in views if queue in view.queues and view.worked is not None]
        hosts.sort(key=lambda view: (view.worked, view.hostname), reverse=True)
        need = kinds.get(queue, ONE_CPU)
        for place, view in enumerate(hosts[: max(0, more)]):
            jobs.append(
                JobSeen(
                    name=f"lately {queue} on {view.hostname}",
                    constraints=dict(need.constraints or ONE_CPU.constraints),
                    iterations=len(range(place, more, len(hosts))),
                    exclusive=need.exclusive,
                    executing_hostnames=(view.hostname,),
                )
            )
    return tuple(jobs)
