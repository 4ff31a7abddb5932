"""The rows of the schedule: made once from `beat_schedule.py`, then they belong to who edits them."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from celery.schedules import maybe_schedule
from celery.schedules import schedule as Interval
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from django_celery_beat.schedulers import ModelEntry

from autoscaler_app.schedule import ASKED_EVERY, AUTOSCALE, every, options_of
from scalelib.errors import InvalidConfig

log = logging.getLogger(__name__)


class Entry(ModelEntry):
    """A row as an entry of beat. For the task that makes a pass, the expiry follows the interval."""

    options: dict[str, Any]

    def __init__(self, model: Any, app: Any = None) -> None:
        super().__init__(model, app=app)
        # A row whose schedule was deleted has none; upstream has disabled it by now.
        interval: Any = getattr(self, "schedule", None)
        if self.task == AUTOSCALE and type(interval) is Interval:
            options = options_of(interval.seconds)
            headers = {**self.options.pop("headers", {}), **options.pop("headers")}
            named = self.options.pop("expires", None)
            if isinstance(named, int | float):
                options["expires"] = min(named, options["expires"])
            elif named is not None:
                options["expires"] = named
            self.options = {**options, **self.options, "headers": headers}

    @classmethod
    def to_model_schedule(cls, schedule: Any) -> tuple[Any, str]:
        """The row of a schedule, saved, and the name of its kind."""
        read = maybe_schedule(schedule)
        if type(read) is Interval:
            return interval_row(read.seconds), "interval"
        return super().to_model_schedule(read)


def make_missing(entries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Make a row for each entry that has none; what is there stays as it is. Names of those made."""
    made = []
    for name, entry in entries.items():
        if not PeriodicTask.objects.filter(name=name).exists():
            _, is_new = PeriodicTask.objects.get_or_create(name=name, defaults=_fields(entry))
            if is_new:
                made.append(name)
    return made


def _fields(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a row. Upstream drops `expires`, and an interval below a second becomes 0."""
    options = dict(entry.get("options") or {})
    expires = options.pop("expires", None)
    if isinstance(expires, timedelta):
        expires = expires.total_seconds()
    if isinstance(expires, int | float):
        options["expire_seconds"] = max(1, math.ceil(expires))
    headers = {k: v for k, v in (options.pop("headers", None) or {}).items() if k != ASKED_EVERY}
    unpacked = Entry._unpack_fields(**{**entry, "options": {**options, "headers": headers}})
    if expires is not None and "expire_seconds" not in options:
        unpacked["expires"] = expires
    return dict(unpacked)


def interval_row(seconds: float) -> Any:
    """The row of an interval; whole seconds where that is what it is. Rows are shared, never changed."""
    wholes, period = int(seconds), IntervalSchedule.SECONDS
    if wholes != seconds:
        wholes, period = round(seconds * 1e6), IntervalSchedule.MICROSECONDS
    found = IntervalSchedule.objects.filter(every=wholes, period=period).first()
    return found or IntervalSchedule.objects.create(every=wholes, period=period)


@dataclass(frozen=True, kw_only=True)
class Planned:
    """The entry that asks for a pass, as the database has it."""

    name: str
    enabled: bool
    when: str
    """"every 15 s", or how Django names a schedule of another kind."""


def planned() -> list[Planned]:
    """Every row that asks for passes."""
    return [
        Planned(name=row.name, enabled=row.enabled, when=_when(row))
        for row in PeriodicTask.objects.filter(task=AUTOSCALE).order_by("name")
    ]


def set_interval(seconds: float) -> Planned:
    """Ask for a pass every so many seconds. A running beat notices within seconds.

    Raises ValueError for an interval out of range, InvalidConfig where no single row asks for passes.
    """
    every(seconds)
    row = _the_row()
    row.interval, row.crontab, row.solar, row.clocked = interval_row(seconds), None, None, None
    if row.expire_seconds is not None:
        row.expire_seconds = max(1, math.ceil(options_of(seconds)["expires"]))
    row.save()
    return Planned(name=row.name, enabled=row.enabled, when=_when(row))


def set_enabled(enabled: bool) -> Planned:
    """Whether passes are asked for at all. A running beat notices within seconds.

    Raises InvalidConfig where no single row asks for passes.
    """
    row = _the_row()
    row.enabled = enabled
    row.save()
    return Planned(name=row.name, enabled=row.enabled, when=_when(row))


def _the_row() -> Any:
    rows = list(PeriodicTask.objects.filter(task=AUTOSCALE))
    if len(rows) != 1:
        names = ", ".join(repr(row.name) for row in rows) or "none"
        raise InvalidConfig(f"one entry of {AUTOSCALE} can be set, and the database has {len(rows)}: {names}")
    return rows[0]


def _when(row: Any) -> str:
    return f"every {row.schedule.seconds:g} s" if row.interval is not None else str(row.schedule)


def state_of_rows() -> tuple[Any, ...]:
    """What beat has to notice when it changes, however it was changed: all that it does not write itself."""
    columns = [f.attname for f in PeriodicTask._meta.concrete_fields if f.name not in _WRITTEN_BY_BEAT]
    for schedule in ("interval", "crontab", "solar", "clocked"):
        model = PeriodicTask._meta.get_field(schedule).related_model
        columns += [f"{schedule}__{f.attname}" for f in model._meta.concrete_fields]
    return tuple(PeriodicTask.objects.order_by("pk").values_list(*columns))


_WRITTEN_BY_BEAT = ("last_run_at", "total_run_count", "date_changed")
