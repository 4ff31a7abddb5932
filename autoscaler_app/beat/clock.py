"""A beat that does not mind when the clock of its host is set back.

Celery plans by the clock on the wall. Set forward, an entry is due, once. Set back by an hour, the last run
lies in the future, and Celery would wait until the clock has caught up: no pass for an hour.
"""

from __future__ import annotations

import dbm
import logging
import shelve
from datetime import UTC, timedelta
from typing import Any

from celery.beat import PersistentScheduler
from celery.schedules import schedstate, schedule
from celery.utils.time import maybe_make_aware

from autoscaler_app.beat.stopping import StopsWhenTold
from scalelib.privatefile import OWNER_ONLY, narrow

log = logging.getLogger(__name__)

TOLERANCE = timedelta(seconds=1)


class ClockMayStep:
    """For a Celery scheduler: an entry that ran in the future ran now, and is due an interval later."""

    _heap: Any
    schedule: Any

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        """Send what is due; seconds until the next look."""
        stepped = [event.entry for event in self._heap or () if bring_back(event.entry)]
        if stepped:
            log.warning("the clock was set back: planned anew for %s", ", ".join(e.name for e in stepped))
            for entry in stepped:
                self.schedule[entry.name] = entry
            # Its times are of the old clock.
            self._heap = None
        return super().tick(*args, **kwargs)  # type: ignore[misc]

    def populate_heap(self, *args: Any, **kwargs: Any) -> None:
        """Plan the next run of each entry. What was kept on disk may be from before the step."""
        for entry in self.schedule.values():
            bring_back(entry)
        super().populate_heap(*args, **kwargs)  # type: ignore[misc]


def bring_back(entry: Any) -> bool:
    """If the last run of an entry lies in the future, say that it was now. Whether it did."""
    now = maybe_make_aware(entry.default_now())
    # Instants are compared: two times of one zone compare as the clock on its wall shows them, summer or not.
    if maybe_make_aware(entry.last_run_at).astimezone(UTC) <= now.astimezone(UTC) + TOLERANCE:
        return False
    entry.last_run_at = now
    if (model := getattr(entry, "model", None)) is not None:
        model.last_run_at = now
    return True


ENDINGS = ("", ".db", ".dat", ".dir", ".bak", ".pag")
"""What the kinds of database that Python may have add to the name of a file."""


class OwnersShelf:
    """What is asked of the module `shelve`, for one owner."""

    @staticmethod
    def open(filename: str, writeback: bool) -> shelve.Shelf[Any]:
        """The file, made if need be. Some kinds of database write it anew at times, with the mode told."""
        for ending in ENDINGS:
            narrow(f"{filename}{ending}")
        made: Any = dbm.open(filename, "c", OWNER_ONLY)  # noqa: SIM115 - the shelf closes it
        return shelve.Shelf(made, writeback=writeback)


class FileScheduler(StopsWhenTold, ClockMayStep, PersistentScheduler):
    """The default of `celery -A autoscaler_app beat`: Celery's own scheduler, whose clock may step, and which
    ends when told. Its file is for its owner only: who may write it has beat run what he likes."""

    persistence = OwnersShelf

    def is_due(self, entry: Any) -> schedstate:
        """Whether an entry is due, and seconds until it is to be looked at again.

        An interval is counted in seconds that pass. Celery up to 5.5 counts it on the wall's clock, and when
        that goes back in autumn it sends at every other time only.
        """
        every = entry.schedule
        if type(every) is not schedule or every.relative:
            return super().is_due(entry)
        now, last = (maybe_make_aware(when) for when in (entry.default_now(), entry.last_run_at))
        left = (last.astimezone(UTC) + every.run_every - now.astimezone(UTC)).total_seconds()
        return schedstate(is_due=left <= 0, next=every.seconds if left <= 0 else left)
