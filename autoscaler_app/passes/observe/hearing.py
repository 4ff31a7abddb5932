"""How well the control side hears: what the listener took in, and which workers send no events at all."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from autoscaler_app.listening.activity import Activity, HostView
from autoscaler_app.listening.listener import Listener
from autoscaler_app.passes.report import Hearing


def hearing_of(activity: Activity, listener: Listener | None) -> Hearing | None:
    """What the listener took in and lost since it was started; None in a command, where nobody listens."""
    if listener is None:
        return None
    counters = msgspec.to_builtins(activity.counters())
    return Hearing(
        connected=listener.connected_since is not None,
        connections=listener.connections,
        lag_seconds=None if listener.lag is None else round(listener.lag.total_seconds(), 3),
        **counters,
    )


def without_events(hosts: Iterable[HostView], now: datetime, patience: timedelta) -> tuple[str, ...]:
    """What the report says of workers that answer and have never sent an event.

    Their nodes are seen all the same, but later, and only while they answer. `patience` is how long a worker
    may be known without one, and how old an answer may be to count as known.
    """
    asked: list[str] = []
    unknown: list[str] = []
    for host in hosts:
        for worker in host.workers:
            since = worker.eventless_since
            if since is not None and now - since > patience:
                answers = worker.told is not None and now - worker.told <= patience
                (asked if answers else unknown).append(worker.nodename)
    warnings = []
    if asked:
        warnings.append(
            f"no events from {_some(asked)} (switched off, or kept from us): what runs there is asked instead"
        )
    if unknown:
        warnings.append(
            f"no events from {_some(unknown)}, and no answer: what runs there is unknown, the node is kept"
        )
    return tuple(warnings)


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
