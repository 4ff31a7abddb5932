"""`why PASS`: who asked for a pass, what it saw that the one before did not, what it decided, and did."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import msgspec

from autoscaler_app.cli import show
from autoscaler_app.passes.journal import Journal
from autoscaler_app.passes.report import WHO, Report, changes, summary


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one pass."""

    report: Report
    changed: list[str] | None
    """What it saw otherwise than the one before; None: one of the two is not there any more, or saw nothing.
    """


def of(number: int) -> Told | None:
    """The pass with this number; None if it is not, or no longer, in the journal."""
    with closing(Journal.look()) as journal:
        made = journal.report(number)
        return None if made is None else Told(report=made, changed=changes(made, journal.report(number - 1)))


def text(told: Told, currency: str = "") -> str:
    """For people: nodes that are kept are counted alone."""
    return "\n".join(_lines(told, currency))


def _lines(told: Told, currency: str) -> Iterator[str]:
    made, changed = told.report, told.changed
    yield f"pass {made.number}: {summary(made)}"
    began = f"began {made.started:%Y-%m-%d %H:%M:%S}Z, took {made.seconds:.2f} s"
    yield f"asked for by: {WHO.get(made.asked_by, 'it is not known')}; {began}"
    if changed is None:
        yield "changed  not known: it or the pass before saw nothing, or is not in the journal any more"
    else:
        yield from (f"changed  {line}" for line in changed or ["nothing"])
    if made.plan is not None:
        lines = show.plan(made.plan, currency).splitlines()
        yield from (line for line in lines if not line.startswith("keep "))
        yield f"kept     {show.plural(len(made.plan.keep), 'node')}"
    yield from show.report(made).splitlines()[1 : 1 + len(made.actions)]
