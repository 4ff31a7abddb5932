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

import msgspec

from autoscaler_app.listening.activity import Sent
from autoscaler_app.memory.kinds import PLAIN
from autoscaler_app.memory.state import State
from autoscaler_app.periodic.entry import Entry, Timetable
from autoscaler_app.periodic.rhythm import beats, follow
from celery_resources import Requirement

__all__ = ["Entry", "Foreseen", "Periodic", "Timetable", "due"]

log = logging.getLogger(__name__)

READ_AGAIN = timedelta(minutes=10)
"""A schedule that was read longer ago is read anew: the app may be another one by now."""

FACT, RHYTHMS = "timetable", "rhythms"


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

        Raises nothing: what cannot be read is a warning.
        """
        if not self._name:
            return Foreseen()
        table, trouble = self._remembered()
        if table is None or not table.made <= now < table.made + READ_AGAIN or table.until < now + horizon:
            table, trouble = self._read_again(now, horizon + 2 * READ_AGAIN, table)
        rhythms = self._followed(table, sent)
        entries = tuple(
            _told(entry, rhythms.get(entry.rhythm), now, now + horizon) for entry in table.entries
        )
        return Foreseen(
            due=due(entries, now, horizon, runtime_of),
            kinds={
                entry.queue: PLAIN if entry.requirement is None else Requirement.from_json(entry.requirement)
                for entry in table.entries
            },
            watched=frozenset(entry.task for entry in table.entries if entry.every),
            warnings=(f"beat_schedule_app {self._name!r} cannot be read: {trouble}",) if trouble else (),
        )

    def _followed(self, table: Timetable, sent: Iterable[Sent]) -> dict[str, datetime]:
        """By rhythm: when it was last kept. Survives a restart of ours."""
        before = {key: datetime.fromisoformat(at) for key, at in (self._state.fact(RHYTHMS) or {}).items()}
        told = tuple(sent)
        found = {}
        for entry in table.entries:
            if entry.every:
                moments = (each.at for each in told if (each.name, each.queue) == (entry.task, entry.queue))
                last = follow(before.get(entry.rhythm), timedelta(seconds=entry.every), moments)
                if last is not None:
                    found[entry.rhythm] = last
        if found != before:
            self._state.set_fact(RHYTHMS, {key: at.isoformat() for key, at in found.items()})
        return found

    def _remembered(self) -> tuple[Timetable | None, str]:
        kept = self._state.fact(FACT)
        if not kept or kept["app"] != self._name:
            return None, ""
        return msgspec.convert(kept["table"], Timetable), kept["trouble"]

    def _read_again(
        self, now: datetime, horizon: timedelta, before: Timetable | None
    ) -> tuple[Timetable, str]:
        """The schedule as it is now; where it cannot be read, as it was."""
        try:
            table, trouble = self._read(now, horizon), ""
        except Unreadable as error:
            trouble = str(error)
            log.warning("periodic.unreadable app=%s: %s", self._name, trouble)
            entries = before.entries if before is not None else ()
            table = Timetable(made=now, until=now + horizon, entries=entries)
        kept = {"app": self._name, "table": msgspec.to_builtins(table), "trouble": trouble}
        self._state.set_fact(FACT, kept)
        return table, trouble

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
