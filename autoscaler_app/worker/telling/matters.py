"""What somebody is to be told of at once. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Literal

from autoscaler_app.passes.report import Report

Matter = Literal[
    "no-passes", "failed-passes", "never-fits", "stuck-drain", "breaker", "budget", "paused-long"
]

OLD_AFTER = 3
"""Intervals without a pass after which they have stopped coming."""
FAILED_IN_A_ROW = 3
"""Passes. One that fails is met now and then, and the next tries again."""
MOST_NAMED = 5


def matters(
    reports: Sequence[Report],
    now: datetime,
    *,
    since: datetime,
    interval: timedelta,
    long_pauses: Sequence[str] = (),
) -> Iterator[tuple[Matter, str]]:
    """Each matter that stands, with a sentence. `reports`: the newest, newest first.

    `since`: since when passes could be made; those of before a restart say nothing of now.
    """
    began = max([since, *(made.started + timedelta(seconds=made.seconds) for made in reports[:1])])
    if now - began > OLD_AFTER * interval + timedelta(seconds=30):
        seconds = (now - began).total_seconds()
        yield "no-passes", f"no pass has ended for {seconds:.0f} s: see to beat and the broker"
    if len(reports) >= FAILED_IN_A_ROW and all(made.error for made in reports[:FAILED_IN_A_ROW]):
        yield "failed-passes", f"the last {FAILED_IN_A_ROW} passes failed: {reports[0].error}"
    if long_pauses:
        yield "paused-long", f"paused for long: {_some(long_pauses)}; `resume` ends it"
    made = next((made for made in reports if made.saw is not None), None)
    if made is None or made.saw is None:
        return
    if made.plan is not None:
        never = [f"{u.count} of {u.job}: {u.detail}" for u in made.plan.unserved if u.reason == "never-fits"]
        if never:
            yield "never-fits", f"work that no machine can hold: {_some(never)}"
    stuck = [f"{each.node} ({each.seconds / 60:.0f} min)" for each in made.saw.drains if each.is_stuck]
    if stuck:
        yield "stuck-drain", f"on the way out for too long: {_some(stuck)}"
    if made.saw.hold:
        yield "breaker", f"nothing is ended: {made.saw.hold}"
    money = [budget.sentence for budget in made.saw.budgets if budget.is_used_up]
    if money:
        yield "budget", _some(money)


def _some(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - MOST_NAMED} more" if len(texts) > MOST_NAMED else ""
    return "; ".join(texts[:MOST_NAMED]) + more
