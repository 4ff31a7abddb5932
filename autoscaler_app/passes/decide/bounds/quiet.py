"""Quiet hours: times of the day in which no node is chosen to go. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from scalelib.errors import InvalidConfig

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
RIGHT = "'08:00-18:00' would be right, and 'mon-fri 08:00-18:00' and 'sat,sun 22:00-06:00'"
_WINDOW = re.compile(r"(?:(?P<days>[a-z,-]+) )?(?P<h1>\d\d):(?P<m1>\d\d)-(?P<h2>\d\d):(?P<m2>\d\d)")


@dataclass(frozen=True, kw_only=True)
class Window:
    """One stretch of quiet hours; it belongs to the day on which it begins."""

    days: frozenset[int]
    begins: timedelta
    """After midnight."""
    lasts: timedelta

    def until(self, local: datetime) -> datetime | None:
        """When it ends, as the clock on the wall has it; None if it is not now."""
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
        for day in (midnight - timedelta(days=1), midnight):
            begins = day + self.begins
            if day.weekday() in self.days and begins <= local < begins + self.lasts:
                return begins + self.lasts
        return None


def parse(text: str) -> Window:
    """A window as the settings have it. Raises InvalidConfig that names it."""
    found = _WINDOW.fullmatch(text.strip().lower())
    if found is None:
        raise InvalidConfig(f"{text!r} is no quiet hours; {RIGHT}")
    begins, ends = (
        timedelta(hours=int(found[f"h{which}"]), minutes=int(found[f"m{which}"])) for which in "12"
    )
    if max(begins, ends) > timedelta(days=1) or int(found["m1"]) > 59 or int(found["m2"]) > 59:
        raise InvalidConfig(f"{text!r} has a time that no clock shows; {RIGHT}")
    lasts = ends - begins if ends > begins else ends - begins + timedelta(days=1)
    return Window(days=_days(found["days"], text), begins=begins, lasts=lasts)


def _days(words: str | None, text: str) -> frozenset[int]:
    found: set[int] = set()
    for word in (words or "mon-sun").split(","):
        first, _, last = word.partition("-")
        if first not in DAYS or (last and last not in DAYS):
            raise InvalidConfig(f"{text!r} names a day {word!r}; {RIGHT}")
        one, other = DAYS.index(first), DAYS.index(last or first)
        found |= {day % 7 for day in range(one, other + (7 if other < one else 0) + 1)}
    return frozenset(found)


def quiet_until(windows: Iterable[str], zone: str, now: datetime) -> datetime | None:
    """When the quiet hours of now end, the last of them if several are; None if none are."""
    local = now.astimezone(ZoneInfo(zone))
    ends = [end for text in windows if (end := parse(text).until(local)) is not None]
    return max(ends, default=None)
