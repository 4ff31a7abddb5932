"""How things stand: the last pass, its age, and whether that is well. All answers read this one value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from autoscaler_app.cli.health import OLD_AFTER
from autoscaler_app.passes import report as report_module
from autoscaler_app.passes.report import Report
from autoscaler_app.web.recent import Look, ended
from autoscaler_app.web.words import duration

NONE_YET = (
    "No pass has been made yet: start `celery -A autoscaler_app worker` and `celery -A autoscaler_app beat`, "
    "or make one with `celery -A autoscaler_app autoscaler run`."
)


@dataclass(frozen=True, kw_only=True)
class Overview:
    """What the journal says, at this moment."""

    look: Look
    now: datetime
    interval: timedelta
    """A pass is due so often."""
    max_age: timedelta
    """A last pass that ended longer ago is old."""
    paused: bool

    @property
    def age(self) -> timedelta | None:
        """Since the last pass ended; None if there is none."""
        return self.now - ended(self.look.newest) if self.look.newest else None

    @property
    def due(self) -> timedelta:
        """The interval, as who judges by intervals has to know it: `max_age` is what counts."""
        return self.max_age / OLD_AFTER

    @property
    def is_old(self) -> bool:
        """Whether passes have stopped coming."""
        return self.age is not None and self.age > self.max_age

    @property
    def has_failed(self) -> bool:
        """Whether the last pass came to nothing.

        An action that did not succeed is no failure of the pass: a machine that is not to be had, or a host
        that is slow to answer, is met every day, and the next pass tries again.
        """
        return self.look.newest is not None and self.look.newest.error != ""

    @property
    def troubles(self) -> tuple[str, ...]:
        """Why this is not well, a sentence each; empty if it is."""
        newest, age = self.look.newest, self.age
        if newest is None or age is None:
            return (NONE_YET,)
        failed = f"Pass {newest.number} failed: {newest.error}"
        old = (
            f"The last pass ended {duration(age)} ago, and one is due every {duration(self.interval)}: "
            "see whether the control worker and celery beat are running."
        )
        return (*([failed] if self.has_failed else []), *([old] if self.is_old else []))

    @property
    def sentence(self) -> str:
        """All of it in one line."""
        newest, age = self.look.newest, self.age
        if self.troubles or newest is None or age is None:
            return " ".join(self.troubles)
        return f"Pass {newest.number} ended {duration(age)} ago."


def status(overview: Overview) -> dict[str, Any]:
    """The JSON form: the keys of `autoscaler status --json`, and what makes the overview well or not."""
    newest, seen, age = overview.look.newest, overview.look.seen, overview.age
    facts: dict[str, Any] = {
        "well": not overview.troubles,
        "troubles": overview.troubles,
        "paused": overview.paused,
        "interval_seconds": overview.interval.total_seconds(),
        "last_pass": None,
    }
    if newest is None or age is None:
        return facts
    facts["last_pass"] = _in_short(newest, overview.now) | {
        "ended_seconds_ago": round(age.total_seconds(), 1),
        "error": newest.error,
        "actions": newest.actions,
    }
    if seen is not None and seen.saw is not None:
        facts |= {"seen_by_pass": seen.number, "cluster_state": seen.saw.cluster_state}
        facts |= {"queues": seen.saw.queues, "nodes": seen.saw.nodes, "warnings": seen.saw.warnings}
        facts["hearing"] = seen.saw.hearing
        if seen.plan is not None:
            facts |= {"unserved": seen.plan.unserved, "price_per_hour": seen.plan.price_per_hour}
    return facts


def _in_short(made: Report, now: datetime) -> dict[str, Any]:
    return {
        "number": made.number,
        "started": made.started,
        "seconds": round(made.seconds, 3),
        "seconds_ago": round((now - made.started).total_seconds(), 1),
        "ok": made.ok,
        "summary": report_module.summary(made),
    }
