"""The stories of nodes and what was spent, in the state file: bounded by days and by number."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from autoscaler_app.memory.book import Book
from autoscaler_app.memory.moments import to_text
from autoscaler_app.memory.stories.story import OTHERS, Spent, Story, What
from scalelib.sqlitefile import Tables

TABLES = Tables(
    name="stories",
    steps=(
        (
            """CREATE TABLE story (
                node_id TEXT PRIMARY KEY, node TEXT NOT NULL, hostname TEXT NOT NULL, seen TEXT NOT NULL,
                had TEXT NOT NULL, gone TEXT, story TEXT NOT NULL)""",
            "CREATE INDEX story_gone ON story (gone)",
            """CREATE TABLE spent (
                day TEXT NOT NULL, nodearray TEXT NOT NULL, vm_size TEXT NOT NULL, use TEXT NOT NULL,
                seconds REAL NOT NULL, money REAL NOT NULL, PRIMARY KEY (day, nodearray, vm_size, use))""",
        ),
        (
            "ALTER TABLE spent RENAME TO spent_before",
            """CREATE TABLE spent (
                day TEXT NOT NULL, nodearray TEXT NOT NULL, vm_size TEXT NOT NULL, use TEXT NOT NULL,
                task TEXT NOT NULL, seconds REAL NOT NULL, money REAL NOT NULL,
                PRIMARY KEY (day, nodearray, vm_size, use, task)) WITHOUT ROWID""",
            """INSERT INTO spent SELECT day, nodearray, vm_size, use, '', seconds, money FROM spent_before""",
            "DROP TABLE spent_before",
        ),
    ),
)

MOST_STORIES = 50_000
"""Nodes that are gone and still told of; about a kilobyte each."""

MOST_TASKS = 1_000
"""Names of tasks that are told apart in one day."""

MONTH = timedelta(days=32)
"""What a day has cost is kept so long at least: a budget of a month needs it."""

SEPARATES = ","

_decode = msgspec.json.Decoder(Story).decode


@dataclass(frozen=True, slots=True)
class Known:
    """The story of a node that is there, read only if it is to go on: of ten thousand most rest."""

    seen: str
    """Until when it is told; as text that sorts."""
    had: str
    text: str

    def has_had(self, what: What) -> bool:
        """Whether there was a moment of this kind."""
        return what in self.had.split(SEPARATES)

    def story(self) -> Story:
        """All of it."""
        return _decode(self.text)


class StoryBook(Book):
    """Two tables of the state file."""

    tables = TABLES

    def present(self) -> dict[str, Known]:
        """By node id: every node that is not known to be gone."""
        rows = self._file.rows("SELECT node_id, seen, had, story FROM story WHERE gone IS NULL")
        return {node_id: Known(seen, had, text) for node_id, seen, had, text in rows}

    def named(self, name: str) -> list[Story]:
        """Every node of this name, host name or id, the one that was seen last first."""
        rows = self._file.rows(
            "SELECT story FROM story WHERE node_id = ?1 OR node = ?1 OR hostname = ?1 "
            "ORDER BY gone IS NOT NULL, seen DESC",
            (name,),
        )
        return [_decode(row["story"]) for row in rows]

    def latest(self, last: int) -> list[Story]:
        """Those that are there, then those that went last."""
        rows = self._file.rows(
            "SELECT story FROM story ORDER BY gone IS NOT NULL, gone DESC, node LIMIT ?", (last,)
        )
        return [_decode(row["story"]) for row in rows]

    def names(self) -> list[str]:
        """Names of nodes and hosts, for whoever has mistyped one."""
        rows = self._file.rows("SELECT node, hostname FROM story")
        return sorted({name for row in rows for name in row if name})

    def write(
        self, stories: Iterable[Story], spent: Iterable[Spent], now: datetime, *, kept: timedelta
    ) -> None:
        """Keep these as they stand now, add to what was spent, and forget what is older than `kept`."""
        rows = [_row(story) for story in stories]
        oldest = now - kept
        with self._file.transaction() as db:
            db.executemany("INSERT OR REPLACE INTO story VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            db.executemany(
                "INSERT INTO spent VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE "
                "SET seconds = seconds + excluded.seconds, money = money + excluded.money",
                [
                    (s.day, s.nodearray, s.vm_size, s.use, s.task, s.seconds, s.money)
                    for s in _bounded(db, list(spent))
                ],
            )
            db.execute("DELETE FROM story WHERE gone < ?", (to_text(oldest),))
            db.execute(
                "DELETE FROM story WHERE gone <= (SELECT gone FROM story WHERE gone IS NOT NULL "
                f"ORDER BY gone DESC LIMIT 1 OFFSET {MOST_STORIES})"
            )
            oldest = min(oldest, now - MONTH)
            db.execute("DELETE FROM spent WHERE day < ?", (oldest.date().isoformat(),))

    def money_since(self, day: datetime) -> float:
        """What was spent from this day on."""
        rows = self._file.rows("SELECT total(money) FROM spent WHERE day >= ?", (day.date().isoformat(),))
        return float(rows[0][0]) if rows else 0.0

    def spent(self, since: str) -> list[Spent]:
        """What was spent from this day on, as in 2026-11-22 (UTC)."""
        rows = self._file.rows("SELECT * FROM spent WHERE day >= ? ORDER BY day, money DESC", (since,))
        return [msgspec.convert(dict(row), Spent) for row in rows]


def _bounded(db: sqlite3.Connection, spent: Sequence[Spent]) -> Iterator[Spent]:
    """These, with the names of tasks that are too many for one day as one."""
    known: dict[str, set[str]] = {}
    for day in {each.day for each in spent if each.task}:
        rows = db.execute("SELECT DISTINCT task FROM spent WHERE day = ?", (day,))
        known[day] = {row[0] for row in rows}
    for each in spent:
        names = known.get(each.day, set())
        if each.task and each.task not in names:
            if len(names) >= MOST_TASKS:
                each = msgspec.structs.replace(each, task=OTHERS)
            names.add(each.task)
        yield each


def _row(story: Story) -> tuple[str | None, ...]:
    had = SEPARATES.join(sorted({moment.what for moment in story.moments}))
    gone = None if story.gone is None else to_text(story.gone)
    text = msgspec.json.encode(story).decode()
    return story.node_id, story.node, story.hostname, to_text(story.seen), had, gone, text
