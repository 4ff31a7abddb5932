"""What is known of the entries of a `beat_schedule`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One periodic task."""

    queue: str
    requirement: dict[str, Any] | None = None
    """What it needs, as messages carry it; None: it says nothing."""
    at: tuple[datetime, ...] = ()
    """When beat sends it, soonest first; empty for an entry that does not go by the clock."""
    task: str = ""
    every: float | None = None
    """Seconds between two times, for a plain interval."""

    @property
    def rhythm(self) -> str:
        """By what it is told apart from others whose times follow from what was sent."""
        return f"{self.task} to {self.queue} every {self.every:g} s" if self.every else ""


class Timetable(msgspec.Struct, frozen=True, kw_only=True):
    """All entries, from when the schedule was read until where it was read to."""

    made: datetime
    until: datetime
    entries: tuple[Entry, ...] = ()
