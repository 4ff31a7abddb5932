"""One SQLite file for several processes, each with a connection of its own."""

from __future__ import annotations

import os
import sqlite3
import time
from typing import Literal

RETRY_SECONDS = 0.02


def open_shared(
    path: str | os.PathLike[str], *, seconds: float, synchronous: Literal["NORMAL", "FULL"]
) -> sqlite3.Connection:
    """A connection for any thread, in autocommit, that waits up to `seconds` for another writer.

    Readers never wait (the file is in write-ahead mode). Raises sqlite3.Error where the file is not usable.
    """
    connection = sqlite3.connect(path, timeout=seconds, isolation_level=None, check_same_thread=False)
    try:
        _write_ahead(connection, seconds)
        connection.execute(f"PRAGMA synchronous = {synchronous}")
    except BaseException:
        connection.close()
        raise
    return connection


def _write_ahead(connection: sqlite3.Connection, seconds: float) -> None:
    """Two that change the mode of a new file at once may both find it locked: SQLite does not wait then,
    whatever the timeout says (https://www.sqlite.org/rescode.html#busy, and measured)."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(RETRY_SECONDS)
