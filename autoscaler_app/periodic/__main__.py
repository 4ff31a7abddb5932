"""`python -m autoscaler_app.periodic proj.app 2026-05-04T12:00:00+00:00 900`: what beat is going to send.

A program of its own, because it loads the app as beat does, with all of its tasks: nothing that those do, or
connect themselves to, is to reach the control worker.
"""

from __future__ import annotations

import contextlib
import os
import sys
from datetime import datetime, timedelta
from typing import Any

import msgspec
from celery.app.utils import find_app
from celery.schedules import maybe_schedule, schedule

from autoscaler_app.periodic.entry import Entry, Timetable
from autoscaler_app.periodic.timetable import appointments
from autoscaler_app.schedule import CONTROL_QUEUE
from celery_resources.need.header import HEADER
from celery_resources.sending.routing import ResourceRouter


def read(name: str, now: datetime, horizon: timedelta) -> Timetable:
    """The timetable of the app that `celery -A` finds by this name."""
    app = find_app(name)
    app.loader.import_default_modules()
    app.finalize()
    entries = {
        key: {**entry, "schedule": maybe_schedule(entry["schedule"], entry.get("relative", False), app=app)}
        for key, entry in app.conf.beat_schedule.items()
    }
    coming: dict[str, list[datetime]] = {key: [] for key in entries}
    for appointment in appointments(entries, now, horizon):
        coming[appointment.entry].append(appointment.at)
    found = [_entry(app, entry, tuple(coming[key])) for key, entry in entries.items()]
    return Timetable(
        made=now, until=now + horizon, entries=tuple(each for each in found if each.queue != CONTROL_QUEUE)
    )


def _entry(app: Any, entry: Any, at: tuple[datetime, ...]) -> Entry:
    """Where beat would send it: what the entry says comes before what the task says."""
    task = app.tasks.get(entry["task"])
    own = {key: getattr(task, key, None) for key in ("queue", "exchange", "routing_key")}
    options = {**{key: value for key, value in own.items() if value is not None}, **entry.get("options", {})}
    router = app.amqp.router
    if isinstance(router, ResourceRouter):
        router = router.telling_nobody()
    sent = router.route(options, entry["task"], entry.get("args", ()), entry.get("kwargs", {}), task)
    queue = sent.get("queue") or app.conf.task_default_queue
    when = entry["schedule"]
    return Entry(
        queue=str(getattr(queue, "name", queue)),
        requirement=(sent.get("headers") or {}).get(HEADER),
        at=at,
        task=entry["task"],
        every=(when.run_every.total_seconds() or None) if type(when) is schedule else None,
    )


def main(name: str, now: str, seconds: str) -> None:
    """Print the timetable as JSON; what the app prints while it is loaded goes elsewhere."""
    sys.path.insert(0, os.getcwd())  # as `celery` does
    with contextlib.redirect_stdout(sys.stderr):
        found = read(name, datetime.fromisoformat(now), timedelta(seconds=float(seconds)))
    print(msgspec.json.encode(found).decode())


if __name__ == "__main__":
    main(*sys.argv[1:])
