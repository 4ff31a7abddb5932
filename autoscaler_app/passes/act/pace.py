"""How often nodes may speak, so that a thousand of them do not cost more than fifty. Pure.

A node tells what changes once a second if nobody says otherwise. Of a few nodes that is a little; of many it
would drown the broker, and nobody but us knows how many they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from autoscaler_app.listening.activity import HostView

REPORTS_A_SECOND = 50
"""Of all workers together, however busy they are."""


def pace_for(workers: int, slowest: float) -> float:
    """Seconds between two reports of a worker, for so many of them; 0 if there are too few to matter.

    A power of two, so that a cluster that grows or shrinks a little tells nobody anything. Never more than
    `slowest`: a host that is heard less often is asked, which costs more.
    """
    pace = 1.0
    while pace * REPORTS_A_SECOND < workers:
        pace *= 2
    return min(pace, slowest) if pace > 1 else 0.0


def out_of_step(hosts: Iterable[HostView], heard_since: datetime, slowest: float) -> tuple[float, list[str]]:
    """The pace that suits those that were heard since then, and the names of the workers to be told so.

    One that is half as fast as it might be is left alone: while the cluster is about as large as a step
    between two paces, its nodes would be told over and over again.
    """
    workers = [
        worker
        for host in hosts
        for worker in host.workers
        if worker.told is not None and worker.told >= heard_since and not worker.offline
    ]
    pace = pace_for(len(workers), slowest)
    wrong = [w.nodename for w in workers if w.pace < pace or w.pace > 2 * max(pace, 1.0)]
    return pace, sorted(wrong)
