"""The periodic tasks of the app whose work is done here: known before beat sends them.

Their times come from a child process that loads the app (`__main__.py`), seldom, and are kept in the state
file. Where they cannot be read the report says so, and the tasks count when they are sent, as ever.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from autoscaler_app.listening.activity import Sent
from autoscaler_app.memory.state import State
from autoscaler_app.periodic.entry import Entry, Timetable
from autoscaler_app.periodic.rhythm import beats, follow
from celery_resources import Requirement
from celery_resources.settings import ONE_CPU

__all__ = ["Entry", "Foreseen", "Periodic", "Timetable", "due"]

log = logging.getLogger(__name__)

READ_AGAIN = timedelta(minutes=10)
"""A schedule that was read longer ago is read anew: the app may be another one by now."""

FACT, RHYTHMS = "timetable", "rhythms"


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule as it is remembered."""

    app: str
    table: Timetable
    trouble: str = ""
    """Why it could not be read when it was read last; the table is the one before, then."""

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What it sends."""
        return self.table.entries

    def is_good_for(self, now: datetime, horizon: timedelta) -> bool:
        """Read lately, and as far ahead as is asked."""
        return self.table.made <= now < self.table.made + READ_AGAIN and self.table.until >= now + horizon

    def to_json(self) -> Any:
        """For the state file."""
        return msgspec.to_builtins(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Foreseen:
    """What a pass needs to know."""

    due: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Seconds from now at which tasks are sent to each queue, soonest first."""
    kinds: Mapping[str, Requirement] = field(default_factory=dict)
    """Every queue that a periodic task goes to, whenever that is."""
    watched: frozenset[str] = frozenset()
    """Names of tasks whose sending is to be told at the next call."""
    warnings: tuple[str, ...] = ()
    read: Kept | None = None
    """The schedule, where it was read anew: to be remembered, as are the rhythms."""
    rhythms: Mapping[str, datetime] = field(default_factory=dict)
    """When each rhythm was last kept."""


class Unreadable(Exception):
    """The schedule could not be read; the text says why."""


class Periodic:
    """The periodic tasks of one app."""

    def __init__(self, name: str, state: State, *, patience: float = 30.0) -> None:
        """`name` as for `celery -A`, empty for none; `patience`: seconds that loading the app may take."""
        self._name, self._state, self._patience = name, state, patience

    def foreseen(
        self,
        now: datetime,
        horizon: timedelta,
        runtime_of: Callable[[str], float | None],
        sent: Iterable[Sent] = (),
    ) -> Foreseen:
        """What beat sends from now until the horizon, given what was sent since the last call.

        Raises nothing: what cannot be read is a warning. Writes nothing: see `remember`.
        """
        if not self._name:
            return Foreseen()
        kept = _kept(self._state.fact(FACT), self._name)
        read = kept is None or not kept.is_good_for(now, horizon)
        table = self._read_again(now, horizon + 2 * READ_AGAIN, kept) if read or kept is None else kept
        rhythms = _followed(_rhythms(self._state.fact(RHYTHMS)), table.entries, sent)
        entries = tuple(
            _told(entry, rhythms.get(entry.rhythm), now, now + horizon) for entry in table.entries
        )
        trouble = (f"beat_schedule_app {self._name!r} cannot be read: {table.trouble}",)
        return Foreseen(
            due=due(entries, now, horizon, runtime_of),
            kinds={
                entry.queue: ONE_CPU
                if entry.requirement is None
                else Requirement.from_json(entry.requirement)
                for entry in table.entries
            },
            watched=frozenset(entry.task for entry in table.entries if entry.every),
            warnings=trouble if table.trouble else (),
            read=table if read else None,
            rhythms=rhythms,
        )

    def remember(self, foreseen: Foreseen) -> None:
        """Write down what was read and heard, so that it survives a restart of ours."""
        read = foreseen.read
        if read is not None:
            self._state.change(FACT, lambda before: _with_what_was_known(before, read).to_json())
        if foreseen.rhythms or self._state.fact(RHYTHMS):
            self._state.change(RHYTHMS, lambda before: _later(before, foreseen.rhythms))

    def _read_again(self, now: datetime, horizon: timedelta, before: Kept | None) -> Kept:
        """The schedule as it is now; where it cannot be read, as it was."""
        try:
            table, trouble = self._read(now, horizon), ""
        except Unreadable as error:
            trouble = str(error)
            log.warning("periodic.unreadable app=%s: %s", self._name, trouble)
            entries = before.entries if before is not None else ()
            table = Timetable(made=now, until=now + horizon, entries=entries)
        return Kept(app=self._name, table=table, trouble=trouble)

    def _read(self, now: datetime, horizon: timedelta) -> Timetable:
        words = (self._name, now.isoformat(), str(horizon.total_seconds()))
        try:
            child = subprocess.run(
                [sys.executable, "-m", "autoscaler_app.periodic", *words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=self._patience,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Unreadable(f"it was not loaded within {self._patience:g} s") from None
        if child.returncode != 0:
            lines = child.stderr.strip().splitlines()
            raise Unreadable(lines[-1] if lines else f"the program ended with {child.returncode}")
        try:
            return msgspec.json.decode(child.stdout, type=Timetable)
        except msgspec.DecodeError as error:
            raise Unreadable(f"it does not read as a schedule: {error}") from error


def _kept(remembered: Any, app: str) -> Kept | None:
    """The schedule of this app that is remembered."""
    if not remembered or remembered["app"] != app:
        return None
    return msgspec.convert(remembered, Kept)


def _with_what_was_known(remembered: Any, read: Kept) -> Kept:
    """What was read; of one that could not be read, what is known by now."""
    before = _kept(remembered, read.app) if read.trouble else None
    if before is None:
        return read
    return msgspec.structs.replace(read, table=msgspec.structs.replace(read.table, entries=before.entries))


def _rhythms(remembered: Any) -> dict[str, datetime]:
    return {key: datetime.fromisoformat(at) for key, at in (remembered or {}).items()}


def _later(remembered: Any, rhythms: Mapping[str, datetime]) -> dict[str, str]:
    """These rhythms, as whoever heard of them last has it."""
    known = _rhythms(remembered)
    return {key: max(at, known.get(key, at)).isoformat() for key, at in rhythms.items()}


def _followed(
    before: Mapping[str, datetime], entries: Iterable[Entry], sent: Iterable[Sent]
) -> dict[str, datetime]:
    """By rhythm: when it was last kept."""
    told = tuple(sent)
    found = {}
    for entry in entries:
        if entry.every:
            moments = (each.at for each in told if (each.name, each.queue) == (entry.task, entry.queue))
            last = follow(before.get(entry.rhythm), timedelta(seconds=entry.every), moments)
            if last is not None:
                found[entry.rhythm] = last
    return found


def _told(entry: Entry, last: datetime | None, now: datetime, until: datetime) -> Entry:
    """The entry, with the times that a plain interval has by its rhythm."""
    if not entry.every:
        return entry
    return msgspec.structs.replace(entry, at=tuple(beats(last, timedelta(seconds=entry.every), now, until)))


def due(
    entries: tuple[Entry, ...],
    now: datetime,
    horizon: timedelta,
    runtime_of: Callable[[str], float | None],
) -> dict[str, tuple[float, ...]]:
    """Seconds from now at which tasks are sent, by queue, within the horizon. Pure.

    Of one entry the next time counts, and those that come while that task still runs, as far as its run time
    (seconds, by queue) is known: what is sent every minute and done in one needs one place, not one for each
    minute that a node takes to boot.
    """
    found: dict[str, list[float]] = {}
    for entry in entries:
        coming = [seconds for at in entry.at if (seconds := (at - now).total_seconds()) > 0]
        soon = [seconds for seconds in coming if seconds <= horizon.total_seconds()]
        if soon:
            at_once = soon[0] + (runtime_of(entry.queue) or 0.0)
            found.setdefault(entry.queue, []).extend(
                seconds for seconds in soon if seconds == soon[0] or seconds < at_once
            )
    return {queue: tuple(sorted(seconds)) for queue, seconds in found.items()}
