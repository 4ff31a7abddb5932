"""The warm pool: slots that are kept ready though no job asks for them yet.

It becomes jobs of the lowest priority, named `pad-0`, `pad-1`, ...: enough to bring all slots asked for up to
the minimum of the hour, and at least `buffer` on top of what the jobs ask for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, time
from typing import Final
from zoneinfo import ZoneInfo

from scalelib.amounts import shown
from scalelib.constraints import Constraint, parse
from scalelib.errors import InvalidConfig, InvalidConstraint
from scalelib.job import Job
from scalelib.spelling import nearest

PRIORITY: Final = -(10**9)
"""Of a pad: below every job."""
_UTC: Final = ZoneInfo("UTC")
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MOST: Final = 100_000
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")
_ONE_CPU: Final = parse({"ncpus": 1})


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """A minimum that holds on some days from one time to another; over midnight if `until` is earlier."""

    minimum: int
    days: frozenset[int] = frozenset(range(7))
    """0 is Monday. Of a window over midnight: the days that it begins on."""
    start: time = time(0)
    until: time | None = None
    """None is the end of the day."""
    zone: ZoneInfo = _UTC

    def holds(self, now: datetime) -> bool:
        """Is it on?"""
        there = now.astimezone(self.zone)
        clock, today = there.time(), there.weekday()
        if self.until is None:
            return today in self.days and clock >= self.start
        if self.start < self.until:
            return today in self.days and self.start <= clock < self.until
        return (today in self.days and clock >= self.start) or (
            (today - 1) % 7 in self.days and clock < self.until
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class WarmPool:
    """How many slots are kept, and of what kind."""

    minimum: int = 0
    buffer: int = 0
    constraints: Constraint = _ONE_CPU
    timetable: tuple[Window, ...] = ()

    def minimum_at(self, now: datetime) -> int:
        """The largest minimum that holds now."""
        return max([self.minimum, *(window.minimum for window in self.timetable if window.holds(now))])

    def pads(self, jobs: Iterable[Job], now: datetime) -> list[Job]:
        """The jobs that keep the pool, beside what these ask for."""
        count = self.buffer
        if least := self.minimum_at(now):
            slots = sum(job.iterations * max(job.node_count, 1) for job in jobs)
            count = max(least - slots, count)
        return [Job(f"pad-{i}", self.constraints, priority=PRIORITY) for i in range(count)]


def read_warm_pool(value: object, place: str) -> WarmPool:
    """The warm pool of the settings."""
    settings = _object(value, place, ("minimum", "buffer", "constraints", "timetable"))
    windows = settings.get("timetable", [])
    if not isinstance(windows, list | tuple):
        raise InvalidConfig(f"{place}.timetable: {shown(windows)} is no list: write a list of objects")
    try:
        constraints = parse(settings.get("constraints", _ONE_CPU))  # type: ignore[arg-type]
    except InvalidConstraint as error:
        raise InvalidConfig(f"{place}: {error}") from error
    return WarmPool(
        minimum=_slots(settings.get("minimum", 0), f"{place}.minimum"),
        buffer=_slots(settings.get("buffer", 0), f"{place}.buffer"),
        constraints=constraints,
        timetable=tuple(_window(each, f"{place}.timetable[{i}]") for i, each in enumerate(windows)),
    )


def _window(value: object, place: str) -> Window:
    settings = _object(value, place, ("minimum", "days", "from", "until", "zone"))
    if "minimum" not in settings:
        raise InvalidConfig(f"{place}: the key 'minimum' is missing")
    until = _clock(settings.get("until", "24:00"), f"{place}.until")
    return Window(
        minimum=_slots(settings["minimum"], f"{place}.minimum"),
        days=_days(settings.get("days", list(_DAYS)), f"{place}.days"),
        start=_clock(settings.get("from", "00:00"), f"{place}.from") or time(0),
        until=until,
        zone=_zone(settings.get("zone", "UTC"), f"{place}.zone"),
    )


def _object(value: object, place: str, known: tuple[str, ...]) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise InvalidConfig(f"{place}: {shown(value)} is no object: write one with {', '.join(known)}")
    for key in value:
        if key not in known:
            meant = nearest(str(key), known)
            hint = f"did you mean {meant!r}?" if meant else f"there are {', '.join(known)}"
            raise InvalidConfig(f"{place}: unknown key {shown(key)}: {hint}")
    return value


def _slots(value: object, place: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST:
        raise InvalidConfig(f"{place}: {shown(value)} is no whole number from 0 to {_MOST}")
    return value


def _days(value: object, place: str) -> frozenset[int]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not names:
        raise InvalidConfig(f"{place}: {shown(value)} is no list of days: write ['mon', 'tue'] or 'mon-fri'")
    days: set[int] = set()
    for name in names:
        first, _, last = str(name).lower().partition("-")
        last = last or first
        if first not in _DAYS or last not in _DAYS:
            raise InvalidConfig(f"{place}: {shown(name)} is no day: write one of {', '.join(_DAYS)}")
        begin, end = _DAYS.index(first), _DAYS.index(last)
        days.update((begin + i) % 7 for i in range((end - begin) % 7 + 1))
    return frozenset(days)


def _clock(value: object, place: str) -> time | None:
    """A time of day; None for 24:00."""
    if not isinstance(value, str) or _CLOCK.fullmatch(value) is None:
        raise InvalidConfig(f"{place}: {shown(value)} is no time of day: write one such as '08:30'")
    return None if value == "24:00" else time.fromisoformat(value)


def _zone(value: object, place: str) -> ZoneInfo:
    try:
        return ZoneInfo(value)  # type: ignore[arg-type]
    except (KeyError, ValueError, TypeError, OSError) as error:
        raise InvalidConfig(
            f"{place}: {shown(value)} is no time zone: write one such as 'Europe/Berlin'"
        ) from error
