"""`status --check`: whether anything is wrong, in a line and an exit code that monitoring understands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from autoscaler_app.memory.orders import PAUSED, Pause, noted
from autoscaler_app.passes.report import Report, summary

OLD_AFTER = 3
"""Intervals without a pass, after which passes have stopped coming."""

OK, WARNING, CRITICAL = 0, 1, 2
_WORDS = {OK: "OK", WARNING: "WARNING", CRITICAL: "CRITICAL"}


class Matter(NamedTuple):
    """Something that is wrong."""

    code: int
    sentence: str
    """What it is, and what to do."""


def check(
    last: Report | None,
    now: datetime,
    interval: timedelta,
    *,
    paused: Sequence[Pause],
    paused_long: float = 86_400.0,
    worker: dict[str, Any] | None,
) -> tuple[int, str]:
    """The worst that is wrong as an exit code (0, 1, 2), and a line that names it and counts the others.

    `worker`: the control worker of this machine as `ping` tells it; None where there is none.
    """
    matters = [
        *matters_of_passes(last, now, interval, paused=paused, paused_long=paused_long),
        *_matters_of_work(last, pauses_are_told=bool(paused)),
    ]
    if worker is not None and worker["why_not"]:
        matters.append(Matter(CRITICAL, f"the control worker is not in charge: {worker['why_not']}"))
    matters.sort(key=lambda matter: -matter.code)
    if not matters:
        assert last is not None
        ago = (now - last.started).total_seconds()
        return OK, f"OK: pass {last.number} {ago:.0f} s ago: {summary(last)}"
    worst, more = matters[0], f" (and {len(matters) - 1} more: `status`)" if len(matters) > 1 else ""
    return worst.code, f"{_WORDS[worst.code]}: {worst.sentence}{more}"


def matters_of_passes(
    last: Report | None,
    now: datetime,
    interval: timedelta,
    *,
    paused: Sequence[Pause],
    paused_long: float = 86_400.0,
) -> Iterator[Matter]:
    """Whether passes are made, and do what they are for."""
    if last is None:
        yield Matter(
            CRITICAL, "no pass has been made yet: start `celery -A autoscaler_app worker` and `… beat`"
        )
        return
    age = now - last.started - timedelta(seconds=last.seconds)
    if age > OLD_AFTER * interval:
        yield Matter(
            CRITICAL,
            f"the last pass ended {age.total_seconds():.0f} s ago, and one is due every "
            f"{interval.total_seconds():g} s: see to beat, the broker and the control worker (`ping`)",
        )
    if last.error:
        yield Matter(CRITICAL, f"pass {last.number} failed: {last.error}")
    for pause in paused:
        lasts = (now - (pause.at or now)).total_seconds()
        long = f", for {lasts / 3600:.1f} h now" if lasts > paused_long else ""
        said = f"{PAUSED}{pause.stops}{long}{noted(pause)}; `{pause.ended_by}` ends it"
        yield Matter(CRITICAL if lasts > paused_long else WARNING, said)


def _matters_of_work(last: Report | None, *, pauses_are_told: bool) -> Iterator[Matter]:
    if last is not None and last.plan is not None:
        for entry in last.plan.unserved:
            yield Matter(WARNING, f"unserved: {entry.count} of {entry.job} ({entry.reason}): {entry.detail}")
    if last is not None and last.saw is not None:
        for warning in last.saw.warnings:
            if not (pauses_are_told and warning.startswith(PAUSED)):
                yield Matter(WARNING, warning)
