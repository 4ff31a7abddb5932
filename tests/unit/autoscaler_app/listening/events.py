"""What workers say, as events, for the tests of what is believed of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from autoscaler_app.listening.activity import Activity

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
EPOCH = NOW.timestamp()


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def report(nodename: str = "celery@n1", *, when: float = 0.0, **facts: Any) -> dict[str, Any]:
    """A `worker-resources` event: its host name is the nodename, its time the worker's clock."""
    base = {"type": "worker-resources", "hostname": nodename, "pid": 1, "timestamp": EPOCH + when}
    return {**base, "seq": 1, "started": 1.0, **facts}


def task(
    kind: str, task_id: str, nodename: str = "celery@n1", *, when: float = 0.0, **facts: Any
) -> dict[str, Any]:
    return {
        "type": f"task-{kind}",
        "uuid": task_id,
        "hostname": nodename,
        "pid": 1,
        "timestamp": EPOCH + when,
        **facts,
    }


def said(task_id: str, queue: str = "q", started: float = 0.0) -> dict[str, Any]:
    return {"id": task_id, "name": "t", "queue": queue, "started": EPOCH + started}


def ids(activity: Activity, hostname: str = "n1") -> set[str]:
    host = activity.host(hostname)
    assert host is not None
    return {task.id for task in host.running}
