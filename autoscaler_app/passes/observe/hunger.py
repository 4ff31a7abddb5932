"""Hosts that are alive and deaf: work waits in their queues, they have room, and start nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from autoscaler_app.listening.activity import HostView
from autoscaler_app.memory.state import Drain
from autoscaler_app.passes.control import Control
from autoscaler_app.passes.decide.situation import short_name
from autoscaler_app.passes.plan import FenceReason
from autoscaler_app.passes.snapshot import QueueSeen

NOT_EATING = FenceReason.NOT_EATING.value


def hunger(
    control: Control,
    views: Iterable[HostView],
    queues: Iterable[QueueSeen],
    drains: Mapping[str, Drain],
    now: datetime,
) -> dict[str, float]:
    """Seconds since which a host that runs nothing has left alone what waits in its queues, by host name."""
    waiting = {queue.queue for queue in queues if queue.waiting and queue.node_count <= 1}
    hungry = {
        view.hostname
        for view in views
        if not (view.running or view.held or view.fenced or view.gang) and waiting & set(view.queues)
    }
    before = control.state.fact("hungry") or {}
    # One that goes for this reason stays hungry while it is fenced: else what it did not take opens it again.
    going = {short_name(drain.hostname) for drain in drains.values() if drain.reason == NOT_EATING}
    hungry |= {
        view.hostname
        for view in views
        if view.fenced and view.hostname in before and short_name(view.hostname) in going
    }
    since = {name: before.get(name, now.timestamp()) for name in sorted(hungry)}
    if since != before:
        control.state.set_fact("hungry", since)
    return {name: max(0.0, now.timestamp() - began) for name, began in since.items()}
