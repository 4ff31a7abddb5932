"""The app of `worker_tasks` with a plain interval of its own. A beat of a test sends it."""

from __future__ import annotations

from worker_tasks.celery import app

EVERY = 30.0

app.conf.beat_schedule = {
    "often": {"task": "worker_tasks.tasks.wide", "schedule": EVERY, "args": (0.3,)},
}
