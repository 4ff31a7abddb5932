"""A clock that is set must not look like time that has passed.

Every duration of the control side (idle for so long, silent for so long) is a difference of two readings of
the wall clock. When that is set, by a person, by NTP after a boot, or because the machine slept, an hour
passes between two passes in which nothing was observed. So every pass compares the wall clock with the
monotonic one, and moves what it remembers by what the wall clock was set: durations stay as long as they were
observed to be.

Time that passes while nobody observes is no idle time either: while the control worker is down, or hears
nothing, or its passes fail.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from autoscaler_app.passes.control import Control

log = logging.getLogger(__name__)

STEP = timedelta(seconds=2)
"""By less they may differ for another reason: the process may not run between reading one and the other."""

Clock = Callable[[], tuple[datetime, tuple[str, ...]]]
"""The time now, and what the report says if the clock was set since it was last read."""


def only_read(control: Control) -> Clock:
    """The clock of a look: it moves nothing."""
    return lambda: (control.now(), ())


def followed(control: Control) -> Clock:
    """The clock of a pass: if it was set since the last pass of this process, what is remembered is moved.

    So are the clocks of idle nodes, by the time since the last pass of any process that nobody observed.
    """
    now, was_set = read_clock(control)
    first = [(now, (*was_set, *_unobserved(control, now)))]
    return lambda: first.pop() if first else read_clock(control)


def _unobserved(control: Control, now: datetime) -> tuple[str, ...]:
    """What the report says of it, where it is worth a word. A command looks now and then, and never listens:
    of that all counts.
    """
    if control.listener is None:
        return ()
    by = control.state.unobserved_before(control.listener.connected_since, now)
    if by:
        control.history.unobserved(by, now)
    if by.total_seconds() <= control.settings.autoscaler.told_within:
        return ()
    warning = (
        f"for {by.total_seconds():.0f} s nobody observed (the control worker was down or heard nothing, or "
        "its passes failed): no node counts as idle for that time"
    )
    log.warning("%s", warning)
    return (warning,)


def read_clock(control: Control) -> tuple[datetime, tuple[str, ...]]:
    """The time now, and what the report says if the clock was set since the last pass of this process, or
    back since the last one of any.

    A time that belongs to others (when a task is due) stays what it is.
    """
    now, monotonic = control.now(), control.monotonic()
    offset = now.timestamp() - monotonic
    before, control.clock_offset = control.clock_offset, offset
    # While no process was there nobody saw the clock being set; but nobody looked later than now.
    by = control.state.ahead_of(now) if before is None else timedelta(seconds=offset - before)
    if abs(by) < STEP:
        return now, ()
    control.history.clock_was_set(by, now)
    control.state.clock_was_set(by, now)
    control.provider.clock_was_set(by, now)
    control.activity.clock_was_set(by, now)
    if control.listener is not None:
        control.listener.clock_was_set(by, now)
    warning = (
        f"the clock was set by {by.total_seconds():+.0f} s, or this machine slept: no node counts as idle or "
        "silent for that time"
    )
    log.warning("%s", warning)
    return now, (warning,)
