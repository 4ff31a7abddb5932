"""Queues where something waits and nobody knows yet how long their tasks run. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from autoscaler_app.passes.snapshot import QueueSeen


def untimed_since(
    before: Mapping[str, float], queues: Iterable[QueueSeen], now: datetime
) -> dict[str, float]:
    """By queue: since when (seconds since the epoch) it has been so. `before`: the same, at the last pass."""
    return {
        queue.queue: before.get(queue.queue, now.timestamp())
        for queue in queues
        if queue.runtime_seconds is None and (queue.waiting or queue.due)
    }
