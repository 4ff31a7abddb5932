"""The broker's count of taken messages against what the hosts say they have."""

from __future__ import annotations

from collections.abc import Iterable

from autoscaler_app.brokers import Broker, CountUnknown
from autoscaler_app.listening.activity.hosts import HostView


def reckon(broker: Broker, hosts: Iterable[HostView]) -> tuple[int | None, tuple[str, ...]]:
    """Ask the broker: `unaccounted`, and why it is unknown where it could have been known.

    Raises BrokerError if the broker does not answer at all.
    """
    try:
        return unaccounted(broker.unacked(), hosts), ()
    except CountUnknown as error:
        return None, (f"how much is unacknowledged is unknown: {error}",)


def unaccounted(unacked: int | None, hosts: Iterable[HostView]) -> int | None:
    """Messages that somebody took and no host says it has: with a dead worker, or one that nobody hears.

    Pure. None if it cannot be said: the broker does not tell (RabbitMQ without its plugin), or a host is
    unknown. Only more than zero means something: tasks that are acknowledged early run without being counted
    by the broker, and what is taken or finished between two looks differs by a few.
    """
    if unacked is None:
        return None
    known = 0
    for host in hosts:
        if host.told is None:
            return None
        known += len(host.running) + len(host.held) + host.scheduled
    return max(0, unacked - known)
