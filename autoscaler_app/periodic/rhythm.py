"""When a plain interval sends next: told from when it was seen to send. Pure.

An interval ("every 600 s") counts from when beat was started, which nobody tells. But what it sends is heard,
and the next follows one interval later. The same task may be sent by others as well, so only what keeps the
rhythm is taken for beat's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

SLACK = 0.1
"""Of the interval: beat sends a little late, never early, and is heard a little later."""
LOST = 1.5
"""Intervals without a task in the rhythm, after which there is none: beat was stopped, or started anew."""


def follow(last: datetime | None, every: timedelta, sent: Iterable[datetime]) -> datetime | None:
    """The last moment of the rhythm, after tasks were sent at these moments; None: nothing was ever heard."""
    for moment in sorted(sent):
        if last is None or moment - last > LOST * every or _keeps(last, every, moment):
            last = moment
    return last


def _keeps(last: datetime, every: timedelta, moment: datetime) -> bool:
    intervals = (moment - last) / every
    return round(intervals) >= 1 and abs(intervals - round(intervals)) <= SLACK


def beats(last: datetime | None, every: timedelta, now: datetime, until: datetime) -> Iterator[datetime]:
    """The moments at which it sends, after now; none if the rhythm is not known or was lost."""
    # A last moment in the future: the clock was set back meanwhile.
    if last is None or not last <= now <= last + LOST * every:
        return
    moment = last + every
    while moment <= until:
        if moment > now:
            yield moment
        moment += every
