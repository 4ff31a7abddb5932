"""The SQLite file that this package shares with the rest of the control side.

Other rooms keep their tables in the same file, so ours begin with `cyclecloud_` and the version of their
shape is a row of our own. Losing the file costs unsettled launches and the failure memory, nothing else.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scalelib.errors import InvalidConfig
from scalelib.sqlitefile import open_shared

WAIT_SECONDS = 10.0
"""How long a statement waits for another writer of the file."""

VERSION = 1

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS cyclecloud_schema (version INTEGER NOT NULL)",
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
    "CREATE TABLE IF NOT EXISTS cyclecloud_memory (name TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT",
)


class StateFile:
    """One connection to the file, for any thread. Each `transaction` is written through before it returns."""

    def __init__(self, path: str | Path) -> None:
        self._lock = threading.RLock()
        try:
            # An intent must be on the disk before the call that it announces is sent.
            self._connection = open_shared(path, seconds=WAIT_SECONDS, synchronous="FULL")
        except sqlite3.Error as error:
            raise _unusable(path, error) from error
        try:
            self._migrate(path)
        except sqlite3.Error as error:
            self._connection.close()
            raise _unusable(path, error) from error
        except InvalidConfig:
            self._connection.close()
            raise

    def _migrate(self, path: str | Path) -> None:
        with self.transaction() as run:
            run.execute(_SCHEMA[0])
            row = run.execute("SELECT version FROM cyclecloud_schema").fetchone()
            if row is not None and row[0] > VERSION:
                raise InvalidConfig(
                    f"state file {str(path)!r} was written by a newer version of this program "
                    f"(tables of version {row[0]}, this one knows {VERSION}): upgrade, or use another file"
                )
            for statement in _SCHEMA[1:]:
                run.execute(statement)
            if row is None:
                run.execute("INSERT INTO cyclecloud_schema VALUES (?)", (VERSION,))

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing of what is done inside."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                if self._connection.in_transaction:  # on a full disk SQLite has rolled back by itself
                    self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def rows(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()


def _unusable(path: str | Path, error: sqlite3.Error) -> InvalidConfig:
    return InvalidConfig(f"state file {str(path)!r}: a writable SQLite file is wanted: {error}")
