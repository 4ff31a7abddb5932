"""When the entries of a `beat_schedule` will send their tasks. Pure: reads schedules, sends nothing."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from celery.schedules import crontab, solar

MOST = 1_000
"""Times named for one entry."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Appointment:
    """One task that beat is going to send."""

    entry: str
    task: str
    options: Mapping[str, Any]
    """What the entry gives to `apply_async`: its queue, say."""
    at: datetime


def appointments(entries: Mapping[str, Any], now: datetime, horizon: timedelta) -> tuple[Appointment, ...]:
    """What the entries will send from now until the horizon, soonest first.

    Entries by the clock (`crontab`, `solar`) are foreseen. A plain interval has no fixed times: they depend
    on when beat was started, and follow from what it was seen to send (`periodic.rhythm`).
    """
    found = [
        Appointment(entry=name, task=str(entry["task"]), options=dict(entry.get("options") or {}), at=at)
        for name, entry in entries.items()
        for at in _times(entry["schedule"], now, now + horizon)
    ]
    return tuple(sorted(found, key=lambda each: (each.at, each.entry)))


def _times(schedule: object, now: datetime, end: datetime) -> list[datetime]:
    if not isinstance(schedule, crontab | solar):
        return []
    found: list[datetime] = []
    moment = now
    while len(found) < MOST:
        moment = _next(schedule, moment)
        if moment > end:
            break
        found.append(moment)
    return found


def _next(schedule: Any, moment: datetime) -> datetime:
    """The first time after this moment.

    Celery asks "how much real time from now, if it ran last at …?"; here now is that very moment.
    """
    local = moment.astimezone(schedule.tz)
    asked = copy(schedule)
    asked.nowfun = lambda: local
    return moment.astimezone(UTC) + cast(timedelta, asked.remaining_estimate(local))
