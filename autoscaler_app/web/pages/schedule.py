"""When passes are asked for: the schedule in the database, or where it stands else."""

from __future__ import annotations

from datetime import timedelta

from autoscaler_app.web.markup import Html, tag
from autoscaler_app.web.pages import parts


def shown(told: str | None, interval: timedelta) -> Html:
    """`told`: what `python -m autoscaler_app.beat interval` says; None: there is no database."""
    if told is not None:
        lines = (tag("li", line) for line in told.splitlines())
        inner = tag("ul", *lines, class_="lines", id="schedule")
        note = "Beat takes a change up within seconds, if it was started with this database (docs/beat.md)."
    else:
        said = f"A pass is asked for every {interval.total_seconds():g} s, by beat_schedule.py."
        inner = tag("p", said, class_="answer", id="schedule")
        note = (
            "A schedule that can be edited here stands in a database: start beat with "
            "--scheduler autoscaler_app.beat:DatabaseScheduler (docs/beat.md)."
        )
    return parts.section("Schedule", inner, tag("p", note, class_="note"))
