"""The scheduler on a database. Import it only when Django is configured: see `DatabaseScheduler` above it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from django.db import DatabaseError, InterfaceError
from django.db.models import Q, QuerySet
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler as Upstream

from autoscaler_app.beat.clock import ClockMayStep
from autoscaler_app.beat.entries import Entry, make_missing, planned, state_of_rows
from autoscaler_app.beat.stopping import StopsWhenTold
from autoscaler_app.schedule import AUTOSCALE

log = logging.getLogger(__name__)


class OurRows:
    """What upstream asks of its model to read the schedule: those that ask for a pass or bear our names."""

    def __init__(self, names: Iterable[str]) -> None:
        self._ours = Q(task=AUTOSCALE) | Q(name__in=list(names))

    @property
    def objects(self) -> OurRows:
        """As a model has it."""
        return self

    def enabled(self) -> QuerySet[Any]:
        """The rows that are to be sent."""
        enabled: QuerySet[Any] = PeriodicTask.objects.enabled()
        return enabled.filter(self._ours)


class DatabaseScheduler(StopsWhenTold, ClockMayStep, Upstream):
    """django-celery-beat's scheduler, with five differences.

    In a Django project's database it serves our rows only: the others are sent by the project's own beat, and
    would be sent twice. Rows are made from `beat_schedule.py` where they are missing and never changed after
    that, so an edit outlives a restart. An edit is noticed however it was made, also by plain SQL. The clock
    may step. Told to end, it ends.
    """

    Entry = Entry
    _state: tuple[Any, ...] | None = None

    def __init__(self, *args: Any, database: str = "", is_a_projects: bool = False, **kwargs: Any) -> None:
        self.database = database
        """Where it is, for the banner."""
        self.is_a_projects = is_a_projects
        if is_a_projects:
            self.Model = OurRows(kwargs["app"].conf.beat_schedule)
        super().__init__(*args, **kwargs)

    @property
    def info(self) -> str:
        """A line of beat's banner."""
        return f"    . db -> {self.database}"

    def setup_schedule(self) -> None:
        """Make the rows that are missing, before the schedule is read."""
        if not self.is_a_projects and not self.app.backend.supports_autoexpire:
            self.install_default_entries({})
        self.update_from_dict(self.app.conf.beat_schedule)
        asks = [f"{entry.name!r} {entry.when}" for entry in planned() if entry.enabled]
        log.info("passes are asked for by: %s", ", ".join(asks) or "nobody")
        if not asks:
            log.warning("no enabled entry of the database sends %s: beat asks for no pass", AUTOSCALE)

    def update_from_dict(self, mapping: Mapping[str, Mapping[str, Any]]) -> None:
        """Make the rows that are missing; upstream would overwrite those that are there."""
        for name in make_missing(mapping):
            log.info("entry %r is now in the database, where it is edited", name)

    def schedule_changed(self) -> bool:
        """Whether the schedule has to be read again."""
        noticed = super().schedule_changed()
        try:
            state = state_of_rows()
        except (DatabaseError, InterfaceError) as error:
            log.warning("the database does not answer, the schedule stays as it was: %s", error)
            return False
        before, self._state = self._state, state
        return bool(noticed) or (before is not None and before != state)
