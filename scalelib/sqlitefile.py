"""One SQLite file for several processes, each with a connection of its own, and several rooms in it.

Each room keeps its own tables there, under a version of their shape. Whoever only looks (`SharedFile.look`)
makes no file, writes to none, and keeps none open.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from scalelib.errors import InvalidConfig
from scalelib.privatefile import make_private, narrow

RETRY_SECONDS = 0.02
TROUBLE = (sqlite3.OperationalError, sqlite3.DatabaseError)
"""What SQLite raises where the file is to blame; of the second, only the class itself."""
MOST_LOOKS = 20
"""How often a read is tried again that a writer came between."""


@dataclass(frozen=True, kw_only=True)
class Tables:
    """The tables of one room."""

    name: str
    """Begins the name of the table that has their version."""
    steps: tuple[tuple[str, ...], ...]
    """Step n brings them from version n to n + 1. Never change one that was released; add another."""
    called: str = "state file"
    """What the file is called, in errors."""

    @property
    def version(self) -> int:
        """The version that this program writes."""
        return len(self.steps)


class SharedFile:
    """The file, for the tables of one room. Safe to use from several threads.

    Raises InvalidConfig, a sentence that names the file, wherever it cannot be used.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        tables: Tables,
        *,
        seconds: float = 10.0,
        synchronous: Literal["NORMAL", "FULL"] = "FULL",
    ) -> None:
        """Open or make it, and bring the tables up to date. `seconds`: how long another writer is
        waited for.
        """
        self.path, self._tables, self._seconds = Path(path), tables, seconds
        self._lock = threading.RLock()
        self._db: sqlite3.Connection | None = None
        with self._translated():
            self._db = open_shared(path, seconds=seconds, synchronous=synchronous)
        # `SQLiteNodeHistory()` within a call, as scalelib's users write it, is closed by nobody else.
        self._close = weakref.finalize(self, self._db.close)
        self._db.row_factory = sqlite3.Row
        try:
            with self.transaction() as db:
                self._bring_up_to_date(db)
        except BaseException:
            self.close()
            raise

    @classmethod
    def look(cls, path: str | os.PathLike[str], tables: Tables, *, seconds: float = 10.0) -> SharedFile:
        """Only look: where there is no file, or none of these tables in it, nothing is remembered."""
        looking = cls.__new__(cls)
        looking.path, looking._tables, looking._seconds = Path(path), tables, seconds
        looking._lock, looking._db = threading.RLock(), None
        row = looking.rows(f"SELECT version FROM {tables.name}_schema")
        looking._refuse_newer(row[0][0] if row else 0)
        return looking

    def close(self) -> None:
        """Let go of the file. May be called twice; happens by itself when nobody has this any more."""
        with self._lock:
            if self._db is not None:
                self._close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, and one writer at a time from the beginning; within another it is part of that."""
        with self._lock, self._translated():
            if self._db is None:
                raise AssertionError(f"{self._tables.called} {str(self.path)!r} was opened to look only")
            if self._db.in_transaction:
                yield self._db
            else:
                with _transaction(self._db):
                    yield self._db

    def rows(self, query: str, values: Sequence[object] = ()) -> list[Any]:
        """The rows of a query (`sqlite3.Row`), as of one moment."""
        with self._lock, self._translated():
            if self._db is not None:
                return self._db.execute(query, values).fetchall()
            return self._look(query, values)

    # -- looking

    def _look(self, query: str, values: Sequence[object]) -> list[Any]:
        """By a connection of its own.

        While a writer has the file open, what it wrote last stands in a second one beside it, and a reader
        shares a third one with it. Without them, SQLite would make both, only to read: then the file is read
        as one that does not change (https://www.sqlite.org/uri.html#uriimmutable), and read anew if it did.
        """
        for _ in range(MOST_LOOKS):
            before, is_written = self._stamp(), self._has_writer()
            if before is None:
                return []
            how = "mode=ro" if is_written else "mode=ro&immutable=1"
            try:
                rows = self._read(f"file:{quote(os.fspath(self.path))}?{how}", query, values)
            except sqlite3.DatabaseError:
                if self._stamp() == before and self._has_writer() is is_written:
                    raise
                continue
            if is_written or (self._stamp() == before and not self._has_writer()):
                return rows
            time.sleep(RETRY_SECONDS)
        raise sqlite3.OperationalError("it changes too fast to be read")

    def _read(self, uri: str, query: str, values: Sequence[object]) -> list[Any]:
        with closing(sqlite3.connect(uri, uri=True, timeout=self._seconds, isolation_level=None)) as db:
            db.row_factory = sqlite3.Row
            try:
                return db.execute(query, values).fetchall()
            except sqlite3.OperationalError as error:
                if str(error).startswith("no such table"):
                    return []
                raise

    def _stamp(self) -> tuple[int, int] | None:
        """What changes when the file does; None: there is none."""
        try:
            found = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_mtime_ns, found.st_size

    def _has_writer(self) -> bool:
        return os.path.exists(f"{os.fspath(self.path)}-wal")

    # -- the shape of the tables

    def _bring_up_to_date(self, db: sqlite3.Connection) -> None:
        # The file is shared, so PRAGMA user_version belongs to nobody: the version is a row of our own.
        name, version = f"{self._tables.name}_schema", self._tables.version
        db.execute(
            f"CREATE TABLE IF NOT EXISTS {name} (only INTEGER PRIMARY KEY CHECK (only = 1), "
            "version INTEGER NOT NULL)"
        )
        row = db.execute(f"SELECT version FROM {name}").fetchone()
        there = row[0] if row else 0
        self._refuse_newer(there)
        for step in self._tables.steps[there:]:
            for statement in step:
                db.execute(statement)
        if row is None:
            db.execute(f"INSERT INTO {name} (version) VALUES (?)", (version,))
        elif there != version:
            db.execute(f"UPDATE {name} SET version = ?", (version,))

    def _refuse_newer(self, version: int) -> None:
        if version > self._tables.version:
            raise InvalidConfig(
                f"{self._tables.called} {str(self.path)!r} was written by a newer version of this program "
                f"(tables of version {version}, this one knows {self._tables.version}): upgrade, or use "
                "another file"
            )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.DatabaseError, OSError) as error:
            if type(error) not in TROUBLE and not isinstance(error, OSError):
                raise  # a defect of ours, or a rule of the tables
            what = getattr(error, "strerror", None) or error
            raise InvalidConfig(
                f"{self._tables.called} {str(self.path)!r}: {what}: name a SQLite file that can be written"
            ) from error


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if db.in_transaction:  # on a full disk SQLite has rolled back by itself
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def open_shared(
    path: str | os.PathLike[str], *, seconds: float, synchronous: Literal["NORMAL", "FULL"]
) -> sqlite3.Connection:
    """A connection for any thread, in autocommit, that waits up to `seconds` for another writer.

    Readers never wait (the file is in write-ahead mode). Raises sqlite3.Error where the file is not usable.
    """
    if os.fspath(path) != ":memory:":
        make_private(path)
    for beside in ("-wal", "-shm"):  # SQLite makes them with the mode of the file itself
        narrow(f"{os.fspath(path)}{beside}")
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
