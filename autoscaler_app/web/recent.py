"""The last passes, kept in memory: a request reads only the reports that are new since the one before."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from autoscaler_app.passes.report import Report

SHOWN = 50
"""Passes that the page lists."""

LOOK_BACK = 100
"""Passes that are read at most to catch up, if nobody has asked for a while."""


@dataclass(frozen=True, kw_only=True)
class PassLine:
    """One pass in short. The reports themselves name every node and would fill the memory."""

    number: int
    started: datetime
    asked_by: str
    ended: datetime
    seconds: float
    ok: bool
    error: str
    waiting: int | None
    """None, here and below: the pass failed before it had seen that."""
    running: int | None
    nodes: int | None
    done: tuple[tuple[str, int], ...]
    """How often each kind of action was done, in the order in which they were."""
    failed: tuple[str, ...]
    """Actions that were tried and did not succeed, with the reason."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What the journal says at one moment."""

    newest: Report | None = None
    """The last pass; None: there is none yet."""
    seen: Report | None = None
    """The last pass that saw the world: the newest, unless that one failed before."""
    passes: tuple[PassLine, ...] = ()
    """Newest first."""


class Recent:
    """Follows the journal. Safe to use from several threads."""

    def __init__(self, reports: Callable[[int], Sequence[Report]]) -> None:
        self._reports = reports
        self._lock = threading.Lock()
        self._look = Look()

    def look(self) -> Look:
        """What the journal says now."""
        with self._lock:
            newest = next(iter(self._reports(1)), None)
            known = self._look.newest
            if newest is None:
                self._look = Look()
            elif known is None or newest.number < known.number:
                # The first look, or the state file was lost and the journal began anew.
                self._take(self._reports(SHOWN), before=Look())
            elif newest.number > known.number:
                self._take(self._since(known.number, newest.number), before=self._look)
            return self._look

    def _since(self, known: int, newest: int) -> list[Report]:
        """The reports after `known`, newest first."""
        while True:
            fresh = [r for r in self._reports(min(newest - known, LOOK_BACK)) if r.number > known]
            # Passes go on while we read. If one more was written, the oldest of the new ones was pushed out.
            if not fresh or fresh[0].number <= newest or len(fresh) == LOOK_BACK:
                return fresh
            newest = fresh[0].number

    def _take(self, fresh: Sequence[Report], *, before: Look) -> None:
        if not fresh:
            return  # The journal was lost between two reads; the next look finds it empty or new.
        lines = (*(_line(report) for report in fresh[:SHOWN]), *before.passes)
        self._look = Look(
            newest=fresh[0],
            seen=next((report for report in fresh if report.saw is not None), before.seen),
            passes=lines[:SHOWN],
        )


def ended(report: Report) -> datetime:
    """When a pass was over."""
    return report.started + timedelta(seconds=report.seconds)


def _line(report: Report) -> PassLine:
    saw = report.saw
    return PassLine(
        number=report.number,
        started=report.started,
        asked_by=report.asked_by,
        ended=ended(report),
        seconds=report.seconds,
        ok=report.ok,
        error=report.error,
        waiting=sum(queue.waiting for queue in saw.queues) if saw else None,
        running=sum(queue.running for queue in saw.queues) if saw else None,
        nodes=len(saw.nodes) if saw else None,
        done=tuple(Counter(action.kind for action in report.actions if action.ok).items()),
        failed=tuple(
            f"{action.kind} {action.target}: {action.detail}" for action in report.actions if not action.ok
        ),
    )
