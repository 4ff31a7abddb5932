"""The lease of an app's broker, as the settings have it."""

from __future__ import annotations

from typing import Any

from autoscaler_app.brokers.connection import kind_of
from autoscaler_app.passes.lease.amqp import AmqpClaim
from autoscaler_app.passes.lease.claim import Claim
from autoscaler_app.passes.lease.keeping import Lease, Unneeded, name_of_this_process
from autoscaler_app.passes.lease.redis import RedisClaim
from autoscaler_app.schedule import interval_of
from autoscaler_app.settings import Settings

SHORTEST = 3.0
"""Seconds. A process that does not get to run for so long is nothing special on a busy machine."""


def open_lease(app: Any, settings: Settings, *, needed: bool = True) -> Lease:
    """Connects only when it is asked for. Where it is not `needed` it is never asked for, and all may be."""
    interval = interval_of(app.conf.beat_schedule or {}).total_seconds()
    seconds = min(settings.autoscaler.lease_seconds, max(SHORTEST, interval))
    return (Lease if needed else Unneeded)(_claim(app, seconds), settings.mark_file)


def _claim(app: Any, seconds: float) -> Claim:
    name = name_of_this_process()
    if kind_of(app) == "redis":
        return RedisClaim(app, name=name, seconds=seconds)
    return AmqpClaim(app, name=f"autoscaler's lease: {name}", seconds=seconds)
