"""What passes saw, in figures, for plots over time: of the last hour, day and week, ever more coarsely.

However many passes there are, the table has as many rows as the three spans have steps. It is kept apart from
the journal: a plot of a week is not to read the reports of a week.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

import msgspec

from autoscaler_app.memory.book import Book
from scalelib.sqlitefile import Tables

TABLES = Tables(
    name="figures",
    steps=(
        (
            """CREATE TABLE figures (
                span TEXT NOT NULL, step INTEGER NOT NULL, passes INTEGER NOT NULL, sums TEXT NOT NULL,
                PRIMARY KEY (span, step))""",
        ),
    ),
)

SpanName = Literal["hour", "day", "week"]


class Span(NamedTuple):
    """How far back a plot goes, and how long a step of it is."""

    whole: timedelta
    step: timedelta


SPANS: Mapping[SpanName, Span] = {
    "hour": Span(timedelta(hours=1), timedelta(seconds=30)),
    "day": Span(timedelta(days=1), timedelta(minutes=10)),
    "week": Span(timedelta(days=7), timedelta(hours=1)),
}

MOST_KINDS = 12
"""Queues that are told apart in one step; the others are added up under `OTHERS`."""

OTHERS = "(others)"


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What one pass saw, or the mean of what several saw."""

    waiting: dict[str, float] = {}
    """Tasks by queue: those with most of them, and `OTHERS`."""
    running: dict[str, float] = {}
    """The same queues."""
    nodes: dict[str, float] = {}
    """By what they are: `up`, `booting`, `going`, `failed`."""
    cores_up: float = 0.0
    """Of nodes that serve."""
    cores_booting: float = 0.0
    unserved: float = 0.0
    """Slots that have no place."""
    price_per_hour: float = 0.0

    @property
    def demand(self) -> dict[str, float]:
        """Tasks that wait or run, by queue."""
        return _added(self.waiting, self.running)


class Step(NamedTuple):
    """One step of a plot."""

    at: datetime
    """Its beginning."""
    figures: Figures


class FiguresBook(Book):
    """A table of the state file."""

    tables = TABLES

    def add(self, figures: Figures, at: datetime) -> None:
        """A pass saw this. What no span reaches any more is forgotten."""
        with self._file.transaction() as db:
            for name, span in SPANS.items():
                step = _step(at, span)
                row = db.execute(
                    "SELECT passes, sums FROM figures WHERE span = ? AND step = ?", (name, step)
                ).fetchone()
                passes, sums = 1, figures
                if row is not None:
                    passes, sums = row["passes"] + 1, _sum(_decode(row["sums"]), figures)
                db.execute(
                    "INSERT OR REPLACE INTO figures VALUES (?, ?, ?, ?)",
                    (name, step, passes, msgspec.json.encode(sums).decode()),
                )
                # Of the future too: a clock that was set back would otherwise show what never was.
                oldest = step - span.whole // span.step
                db.execute(
                    "DELETE FROM figures WHERE span = ? AND (step < ? OR step > ?)", (name, oldest, step)
                )

    def steps(self, name: SpanName, now: datetime) -> list[Step]:
        """The steps of a span until now in which a pass saw something, in their order."""
        span = SPANS[name]
        oldest = _step(now, span) - span.whole // span.step
        rows = self._file.rows(
            "SELECT step, passes, sums FROM figures WHERE span = ? AND step > ? ORDER BY step", (name, oldest)
        )
        return [
            Step(
                datetime.fromtimestamp(row["step"] * span.step.total_seconds(), UTC),
                _mean(_decode(row["sums"]), row["passes"]),
            )
            for row in rows
        ]


_decode = msgspec.json.Decoder(Figures).decode


def largest(counts: Iterable[tuple[str, int, int]]) -> tuple[dict[str, float], dict[str, float]]:
    """Of queues with what waits and what runs: those with most, and all others as one."""
    busy = sorted((each for each in counts if each[1] or each[2]), key=lambda each: -(each[1] + each[2]))
    kept, rest = busy[:MOST_KINDS], busy[MOST_KINDS:]
    if rest:
        kept = [*kept, (OTHERS, sum(each[1] for each in rest), sum(each[2] for each in rest))]
    return {queue: waiting for queue, waiting, _ in kept}, {queue: running for queue, _, running in kept}


def _step(at: datetime, span: Span) -> int:
    return int(at.timestamp() // span.step.total_seconds())


def _added(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {name: one.get(name, 0.0) + other.get(name, 0.0) for name in {**one, **other}}


def _sum(one: Figures, other: Figures) -> Figures:
    values: dict[str, dict[str, float] | float] = {}
    for name in Figures.__struct_fields__:
        mine, theirs = getattr(one, name), getattr(other, name)
        values[name] = _added(mine, theirs) if isinstance(mine, dict) else mine + theirs
    return msgspec.convert(values, Figures)


def _mean(sums: Figures, passes: int) -> Figures:
    values: dict[str, dict[str, float] | float] = {}
    for name in Figures.__struct_fields__:
        value = getattr(sums, name)
        values[name] = (
            {key: each / passes for key, each in value.items()} if isinstance(value, dict) else value / passes
        )
    return msgspec.convert(values, Figures)
