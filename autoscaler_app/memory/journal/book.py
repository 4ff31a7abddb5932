"""The reports in the state file: the newest whole, older ones in packs; bounded by days and by bytes."""

from __future__ import annotations

import logging
import lzma
import sqlite3
import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate

import msgspec

from autoscaler_app.memory.journal.packing import packed, thinned, unpacked
from autoscaler_app.memory.moments import to_text
from scalelib.sqlitefile import SharedFile

log = logging.getLogger(__name__)

DAMAGED = (lzma.LZMAError, EOFError, msgspec.DecodeError)
"""What reading a pack raises that is not as it was written."""

STEP = (
    """CREATE TABLE IF NOT EXISTS journal_pack (
        first INTEGER PRIMARY KEY, last INTEGER NOT NULL, started TEXT NOT NULL, thinned INTEGER NOT NULL,
        size INTEGER NOT NULL, pack BLOB NOT NULL)""",
)
"""The tables, beside `journal` itself."""

KEPT = timedelta(days=30)
MOST_BYTES = 150_000_000

WHOLE = 32
"""Reports that stand by themselves at least; twice as many, and the older half goes into a pack."""

THIN = ((timedelta(days=1), timedelta(minutes=5)), (timedelta(days=7), timedelta(hours=1)))
"""Of passes longer ago than the first, one in so much time as the second is kept whole; of the others those
in which something was done or failed, in short."""
THIN_TOGETHER = 8
"""So many packs become one when they are thinned out."""


class JournalBook:
    """A room of the state file. Safe to use from several threads and processes."""

    def __init__(self, file: SharedFile) -> None:
        self._file = file

    def write(
        self, started: datetime, report: bytes, *, kept: timedelta = KEPT, most_bytes: int = MOST_BYTES
    ) -> int:
        """Add a report; its number. What is older than `kept`, and the oldest beyond `most_bytes`, goes."""
        with self._file.transaction() as db:
            number = db.execute(
                "INSERT INTO journal (started, report) VALUES (?, ?)",
                (to_text(started), zlib.compress(report, 1)),
            ).lastrowid
            assert number is not None
            whole = db.execute("SELECT count(*) FROM journal").fetchone()[0]
        if whole >= 2 * WHOLE:
            # Not in one transaction: packing takes a while, and others write to this file.
            self._pack()
            for times, (after, every) in enumerate(THIN):
                self._thin(to_text(started - after), times, every)
            self._bound(to_text(started - kept), most_bytes)
        return number

    def latest(self, last: int) -> list[tuple[int, bytes]]:
        """The newest reports, newest first, each with its number."""
        rows = self._file.rows("SELECT number, report FROM journal ORDER BY number DESC LIMIT ?", (last,))
        found = [(row["number"], _text(row["report"])) for row in rows]
        before = min((number for number, _ in found), default=None)
        while len(found) < last:
            # One by one: a pack is little until it is unpacked.
            rows = self._file.rows(
                "SELECT first, pack FROM journal_pack WHERE ?1 IS NULL OR first < ?1 "
                "ORDER BY first DESC LIMIT 1",
                (before,),
            )
            if not rows:
                break
            before = rows[0]["first"]
            found += reversed(_reports_of(rows[0]["pack"]))
        return found[:last]

    def one(self, number: int) -> bytes | None:
        """The report of this number; None if it is not kept."""
        rows = self._file.rows("SELECT report FROM journal WHERE number = ?", (number,))
        if rows:
            return _text(rows[0]["report"])
        rows = self._file.rows("SELECT pack FROM journal_pack WHERE ? BETWEEN first AND last", (number,))
        return next((text for row in rows for n, text in _reports_of(row["pack"]) if n == number), None)

    def _pack(self) -> None:
        """All but the newest that stand by themselves go into packs. (An earlier version has left many.)"""
        rows = self._file.rows("SELECT number, started, report FROM journal ORDER BY number")[:-WHOLE]
        for i in range(0, len(rows), WHOLE):
            some = rows[i : i + WHOLE]
            pack = packed((row["number"], _text(row["report"])) for row in some)
            new = _Pack(some[0]["number"], some[-1]["number"], some[-1]["started"], 0, pack)
            with self._file.transaction() as db:
                new.write(db)
                db.execute("DELETE FROM journal WHERE number <= ?", (new.last,))

    def _thin(self, before: str, times: int, every: timedelta) -> None:
        """Packs of long ago, thinned out so many times, are once more, several together; not all at once, for
        a pass waits for it.
        """
        rows = self._file.rows(
            "SELECT first, started, pack FROM journal_pack WHERE thinned = ? AND started < ? "
            "ORDER BY first LIMIT ?",
            (times, before, THIN_TOGETHER),
        )
        if len(rows) < THIN_TOGETHER:
            return
        numbers, pack = thinned((row["pack"] for row in rows if _reports_of(row["pack"])), every)
        with self._file.transaction() as db:
            db.executemany("DELETE FROM journal_pack WHERE first = ?", [(row["first"],) for row in rows])
            if numbers:
                _Pack(numbers[0], numbers[-1], rows[-1]["started"], times + 1, pack).write(db)

    def _bound(self, oldest: str, most_bytes: int) -> None:
        with self._file.transaction() as db:
            db.execute("DELETE FROM journal_pack WHERE started < ?", (oldest,))
            sizes = db.execute("SELECT first, size FROM journal_pack ORDER BY first DESC").fetchall()
            for (first, _), total in zip(sizes, accumulate(size for _, size in sizes), strict=True):
                if total > most_bytes:
                    db.execute("DELETE FROM journal_pack WHERE first <= ?", (first,))
                    return


@dataclass(frozen=True, slots=True)
class _Pack:
    first: int
    last: int
    started: str
    """When its newest pass began, as text that sorts."""
    thinned: int
    """How many times it was thinned out."""
    pack: bytes

    def write(self, db: sqlite3.Connection) -> None:
        values = (self.first, self.last, self.started, self.thinned, len(self.pack), self.pack)
        db.execute("INSERT OR REPLACE INTO journal_pack VALUES (?, ?, ?, ?, ?, ?)", values)


def _text(found: str | bytes) -> bytes:
    """As it was written; by an earlier version, as text."""
    return found.encode() if isinstance(found, str) else zlib.decompress(found)


def _reports_of(pack: bytes) -> list[tuple[int, bytes]]:
    """Those in a pack; none where it is damaged: it spoils itself only."""
    try:
        return unpacked(pack)
    except DAMAGED as error:
        log.error("some reports of the journal cannot be read any more: %s", error)
        return []
