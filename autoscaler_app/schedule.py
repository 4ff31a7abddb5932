"""When a pass runs: the beat entry, made from the interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from scalelib.errors import InvalidConfig

CONTROL_QUEUE = "autoscale"
"""Requests for passes. Only the control worker consumes it."""

NOTES_QUEUE = f"{CONTROL_QUEUE}.notes"
"""What producers and nodes have to say. A queue of its own, so that passes never stand behind notes."""

AUTOSCALE = "autoscaler_app.autoscale"
"""Name of the task that makes a pass."""

NOTE = "autoscaler_app.note"
"""Name of the task by which producers and nodes of earlier versions say, in the control queue, what they have
to say. It is no task any more: the control worker takes it at the head of the queue."""

ASKED_AT = "autoscale_asked_at"
"""Header of a request for a pass: when it was sent, in seconds since the epoch, by the sender's clock."""

ASKED_EVERY = "autoscale_every"
"""Header of what beat sends: seconds between two of its requests."""

ASKED_BY = "autoscale_asked_by"
"""Header of a request: who sent it, one of `WHO`. Without it a call of `autoscale.delay()` did."""

WHO = ("beat", "news", "again", "line", "call", "run")
"""Beat; the control worker, because new work was sent or a node came up; a pass that had more to do at once;
the control worker, because so much stands in the control queue that what is asked there is not known yet; a
call of `autoscale.delay()`; the command `run`."""

INTERVAL = 15.0
"""Seconds between passes, if nothing else asks for one."""

RANGE = "it is between 0.2 and 86400 seconds ($AUTOSCALER_INTERVAL, or `every` in beat_schedule.py)"


def every(seconds: float | str = INTERVAL) -> dict[str, Any]:
    """The `beat_schedule` with a pass every so many seconds, as a number or as text from the environment.

    Raises InvalidConfig (a ValueError) for one out of range.
    """
    try:
        seconds = float(seconds)
    except ValueError:
        raise InvalidConfig(f"the interval between passes is {seconds!r}; {RANGE}") from None
    if not 0.2 <= seconds <= 86400:
        raise InvalidConfig(f"the interval between passes is {seconds:g} s; {RANGE}")
    return {
        "autoscale": {
            "task": AUTOSCALE,
            "schedule": seconds,
            "options": options_of(seconds),
        }
    }


def options_of(seconds: float) -> dict[str, Any]:
    """How a request is sent that is repeated every so many seconds: it expires before the next is due."""
    return {
        "queue": CONTROL_QUEUE,
        "expires": seconds * 0.9,
        "ignore_result": True,
        "headers": {ASKED_EVERY: seconds, ASKED_BY: "beat"},
    }


def asked_by(header: Callable[[str], object]) -> str:
    """Who sent a request with these headers: one of `WHO`, whatever they say."""
    said = header(ASKED_BY)
    if said is None and header("periodic_task_name") is not None:
        return "beat"  # of a Django project, which knows no header of ours
    return next((who for who in WHO if who == said), "call")


def interval_of(beat_schedule: Mapping[str, Mapping[str, Any]]) -> timedelta:
    """How often a pass is due by this schedule; the default where it does not tell (`crontab`)."""
    for entry in beat_schedule.values():
        if entry.get("task") == AUTOSCALE:
            every = entry.get("schedule")
            every = getattr(every, "run_every", every)
            if isinstance(every, timedelta):
                return every
            if isinstance(every, int | float):
                return timedelta(seconds=every)
    return timedelta(seconds=INTERVAL)
