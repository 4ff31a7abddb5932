"""Hosts that are alive and hungry: work waits for them, they have room, and start nothing. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from autoscaler_app.listening.activity import HostView
from autoscaler_app.memory.state import Drain
from autoscaler_app.passes.hosts import short_name
from autoscaler_app.passes.plan import FenceReason
from autoscaler_app.passes.snapshot import QueueSeen

GOES_FOR_IT = FenceReason.HUNGRY.value


def hungry_since(
    before: Mapping[str, float],
    views: Iterable[HostView],
    queues: Iterable[QueueSeen],
    drains: Mapping[str, Drain],
    now: datetime,
    meant: Mapping[str, Collection[str]] = {},
) -> dict[str, float]:
    """By host name: since when (seconds since the epoch) a host that runs nothing has left alone what waits
    in its queues. `before`: the same, at the last pass. `meant`: by host name, queues that it was told to
    consume: one that does not is as hungry.
    """
    views = tuple(views)
    waiting = {queue.queue for queue in queues if queue.waiting and queue.node_count <= 1}
    hungry = {
        view.hostname
        for view in views
        if not (view.running or view.held or view.fenced or view.gang)
        and waiting & {*view.queues, *meant.get(view.hostname, ())}
    }
    # One that goes for this reason stays hungry while it is fenced: else what it did not take opens it again.
    going = {short_name(drain.hostname) for drain in drains.values() if drain.reason == GOES_FOR_IT}
    hungry |= {
        view.hostname
        for view in views
        if view.fenced and view.hostname in before and short_name(view.hostname) in going
    }
    return {name: before.get(name, now.timestamp()) for name in sorted(hungry)}
