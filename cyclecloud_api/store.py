"""The SQLite file that this package shares with the rest of the control side.

Other rooms keep their tables in the same file, so ours begin with `cyclecloud_`. Losing the file costs
unsettled launches and the failure memory, nothing else.
"""

from __future__ import annotations

from pathlib import Path

from scalelib.sqlitefile import SharedFile, Tables

TABLES = Tables(
    name="cyclecloud",
    steps=(
        (
            """
    CREATE TABLE IF NOT EXISTS cyclecloud_intents (
        request_id      TEXT PRIMARY KEY,
        nodearray       TEXT NOT NULL,
        vm_size         TEXT NOT NULL,
        count           INTEGER NOT NULL,
        spot            INTEGER NOT NULL,
        placement_group TEXT,
        written         TEXT NOT NULL,
        fate            TEXT NOT NULL,
        sends           INTEGER NOT NULL,
        in_flight       INTEGER NOT NULL,
        settled         TEXT,
        added           INTEGER,
        message         TEXT NOT NULL DEFAULT '',
        nodes           TEXT NOT NULL DEFAULT '[]'
    ) STRICT
    """,
            "CREATE INDEX IF NOT EXISTS cyclecloud_intents_fate ON cyclecloud_intents (fate, written)",
            """
            CREATE TABLE IF NOT EXISTS cyclecloud_memory (
                name TEXT PRIMARY KEY, document TEXT NOT NULL
            ) STRICT
            """,
        ),
    ),
)


class StateFile(SharedFile):
    """The file, with our tables. An intent is on the disk before the call that it announces is sent."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(path, TABLES, synchronous="FULL")


def look(path: str | Path) -> SharedFile:
    """Only look: no file is made, and none is written to."""
    return SharedFile.look(path, TABLES)
