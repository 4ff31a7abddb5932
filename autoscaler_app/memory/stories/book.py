"""The stories of nodes and what was spent, in the state file: bounded by days and by number."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

import msgspec

from autoscaler_app.memory.moments import to_text
from autoscaler_app.memory.stories.story import Spent, Story
from scalelib.sqlitefile import SharedFile, Tables

TABLES = Tables(
    name="stories",
    steps=(
        (
            """CREATE TABLE story (
                node_id TEXT PRIMARY KEY, node TEXT NOT NULL, hostname TEXT NOT NULL, seen TEXT NOT NULL,
                gone TEXT, story TEXT NOT NULL)""",
            "CREATE INDEX story_gone ON story (gone)",
            """CREATE TABLE spent (
                day TEXT NOT NULL, nodearray TEXT NOT NULL, vm_size TEXT NOT NULL, use TEXT NOT NULL,
                seconds REAL NOT NULL, money REAL NOT NULL, PRIMARY KEY (day, nodearray, vm_size, use))""",
        ),
    ),
)

MOST_STORIES = 50_000
"""Nodes that are gone and still told of; about a kilobyte each."""

_decode = msgspec.json.Decoder(Story).decode


class StoryBook:
    """Two tables of the state file. Safe to use from several threads and processes.

    Raises InvalidConfig where the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._file = SharedFile(path, TABLES)

    @classmethod
    def look(cls, path: Path) -> Self:
        """Only look: no file is made, and none is written to."""
        looking = cls.__new__(cls)
        looking._file = SharedFile.look(path, TABLES)
        return looking

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def present(self) -> dict[str, Story]:
        """By node id: every node that is not known to be gone."""
        return {
            row["node_id"]: _decode(row["story"])
            for row in self._file.rows("SELECT node_id, story FROM story WHERE gone IS NULL")
        }

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
        rows = [
            (s.node_id, s.node, s.hostname, to_text(s.seen), to_text(s.gone) if s.gone else None, _text(s))
            for s in stories
        ]
        oldest = now - kept
        with self._file.transaction() as db:
            db.executemany("INSERT OR REPLACE INTO story VALUES (?, ?, ?, ?, ?, ?)", rows)
            db.executemany(
                "INSERT INTO spent VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE "
                "SET seconds = seconds + excluded.seconds, money = money + excluded.money",
                [(s.day, s.nodearray, s.vm_size, s.use, s.seconds, s.money) for s in spent],
            )
            db.execute("DELETE FROM story WHERE gone < ?", (to_text(oldest),))
            db.execute(
                "DELETE FROM story WHERE gone <= (SELECT gone FROM story WHERE gone IS NOT NULL "
                f"ORDER BY gone DESC LIMIT 1 OFFSET {MOST_STORIES})"
            )
            db.execute("DELETE FROM spent WHERE day < ?", (oldest.date().isoformat(),))

    def spent(self, since: str) -> list[Spent]:
        """What was spent from this day on, as in 2026-11-22 (UTC)."""
        rows = self._file.rows("SELECT * FROM spent WHERE day >= ? ORDER BY day, money DESC", (since,))
        return [msgspec.convert(dict(row), Spent) for row in rows]


def _text(story: Story) -> str:
    return msgspec.json.encode(story).decode()
