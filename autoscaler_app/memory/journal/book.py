"""The reports in the state file: the newest as they are, older ones in packs; bounded by days and by bytes.

Those that stand by themselves are rows of `journal`, as JSON text where they are not large, so that any tool
for SQLite shows them.
"""

from __future__ import annotations

import logging
import lzma
import sqlite3
import zlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import accumulate

import msgspec

from autoscaler_app.memory.journal.packing import closed, packed, thinned, unpacked
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
"""So many reports always stand by themselves, and so many go into a pack."""
STANDING = 4_000_000
"""Bytes up to which they stand by themselves however many they are."""
TEXT = 65_536
"""Bytes of the largest report that stands there as text; a larger one is compressed."""
AT_ONCE = 32
"""Reports that one pass packs at most, where many small ones are left and large ones come."""

THIN = ((timedelta(days=1), timedelta(minutes=5)), (timedelta(days=7), timedelta(hours=1)))
"""Of passes longer ago than the first, one in so much time as the second is kept whole; of the others those
in which something was done or failed, in short."""
THIN_TOGETHER = 8
"""So many packs become one when they are thinned out, one after the other."""


class JournalBook:
    """A room of the state file. Safe to use from several threads and processes."""

    def __init__(self, file: SharedFile) -> None:
        self._file = file

    def write(
        self, started: datetime, report: bytes, *, kept: timedelta = KEPT, most_bytes: int = MOST_BYTES
    ) -> int:
        """Add a report; its number. What is older than `kept`, and the oldest beyond `most_bytes`, goes."""
        stored = report.decode() if len(report) <= TEXT else zlib.compress(report, 1)
        oldest = to_text(started - kept)
        with self._file.transaction() as db:
            number = db.execute(
                "INSERT INTO journal (started, report) VALUES (?, ?)", (to_text(started), stored)
            ).lastrowid
            assert number is not None
            db.execute("DELETE FROM journal WHERE started < ? AND number < ?", (oldest, number))
        # Not in this transaction, as others write to this file.
        if self._pack_some(len(stored), min(STANDING, most_bytes // 10)):
            self._bound(oldest, most_bytes)
        elif number % max(WHOLE // 4, 1) == 0:
            for times, (after, every) in enumerate(THIN):
                if self._thin(to_text(started - after), times, every):
                    break
        return number

    def _pack_some(self, written: int, standing: int) -> bool:
        """What is too much to stand by itself goes into a pack, the oldest first. Is one closed by that?

        Little by little, as a pass waits for it: about as many bytes as it has written itself; twice that
        where there is more than that to do.
        """
        sizes = [row[0] for row in self._file.rows("SELECT length(report) FROM journal ORDER BY number")]
        size, budget = sum(sizes), written if len(sizes) <= 2 * WHOLE else 2 * written
        is_closed = is_begun = False
        for oldest in sizes[: max(0, min(AT_ONCE, len(sizes) - WHOLE - 1))]:
            if size <= standing or (is_begun and oldest > budget):
                break
            is_closed |= self._pack()
            is_begun, size, budget = True, size - oldest, budget - oldest
        return is_closed

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
            # The last one of a pack that grows stands by itself, too.
            there = [each for each in _reports_of(rows[0]["pack"]) if before is None or each[0] < before]
            found += reversed(there)
            before = rows[0]["first"]
        return found[:last]

    def one(self, number: int) -> bytes | None:
        """The report of this number; None if it is not kept."""
        rows = self._file.rows("SELECT report FROM journal WHERE number = ?", (number,))
        if rows:
            return _text(rows[0]["report"])
        rows = self._file.rows("SELECT pack FROM journal_pack WHERE ? BETWEEN first AND last", (number,))
        return next((text for row in rows for n, text in _reports_of(row["pack"]) if n == number), None)

    def _pack(self) -> bool:
        """The next report goes into the pack that grows. Is that closed by it?

        It is told by what changed since the last one there, which stands by itself until then.
        """
        oldest, second = self._file.rows(
            "SELECT number, started, report FROM journal ORDER BY number LIMIT 2"
        )
        grows = self._growing(0)
        if grows is None:
            pack = packed(oldest["number"], _text(oldest["report"]))
            new = _Pack(oldest["number"], oldest["number"], oldest["started"], _grows(0), pack)
        elif grows.last == oldest["number"]:
            more = packed(second["number"], _text(second["report"]), _text(oldest["report"]))
            new = grows.with_more(second["number"], second["started"], more, WHOLE)
        else:
            new = grows.closed()  # what the next one would be told by is gone
        is_closed = new.thinned >= 0
        with self._file.transaction() as db:
            new.write(db)
            db.execute("DELETE FROM journal WHERE number < ?", (new.last + is_closed,))
        return is_closed

    def _growing(self, times: int) -> _Pack | None:
        """The pack, of those that were thinned out so many times, to which more is put."""
        rows = self._file.rows(
            "SELECT first, last, started, thinned, pack FROM journal_pack WHERE thinned = ? "
            "ORDER BY first DESC LIMIT 1",
            (_grows(times),),
        )
        return next((_Pack(*row) for row in rows), None)

    def _thin(self, before: str, times: int, every: timedelta) -> bool:
        """A pack of long ago, thinned out so many times, is once more, together with others. Was there one?

        One at a time, for a pass waits for it.
        """
        rows = self._file.rows(
            "SELECT first, last, started, thinned, pack FROM journal_pack WHERE thinned = ? AND started < ? "
            "ORDER BY first LIMIT 1",
            (times, before),
        )
        if not rows:
            return False
        old, grows = _Pack(*rows[0]), self._growing(times + 1)
        onto = grows or _Pack(old.first, old.first, old.started, _grows(times + 1), b"")
        gone, new = [old, onto], None
        try:
            more = thinned(old.pack, every, onto.pack)
            new = onto.with_more(old.last, old.started, more, WHOLE * THIN_TOGETHER ** (times + 1))
        except DAMAGED:
            gone = [onto] if _reports_of(old.pack) else [old]  # it spoils itself only
        with self._file.transaction() as db:
            db.executemany("DELETE FROM journal_pack WHERE first = ?", [(each.first,) for each in gone])
            if new is not None and new.pack:
                new.write(db)
        return True

    def _bound(self, oldest: str, most_bytes: int) -> None:
        with self._file.transaction() as db:
            db.execute("DELETE FROM journal_pack WHERE started < ?", (oldest,))
            sizes = db.execute("SELECT first, size FROM journal_pack ORDER BY first DESC").fetchall()
            for (first, _), total in zip(sizes, accumulate(size for _, size in sizes), strict=True):
                if total > most_bytes:
                    db.execute("DELETE FROM journal_pack WHERE first <= ?", (first,))
                    return


def _grows(times: int) -> int:
    """How it is written that a pack was thinned out so many times, and that more is put to it."""
    return -1 - times


@dataclass(frozen=True, slots=True)
class _Pack:
    first: int
    last: int
    started: str
    """When its newest pass began, as text that sorts."""
    thinned: int
    """How many times it was thinned out; below 0: it grows."""
    pack: bytes

    def with_more(self, last: int, started: str, more: bytes, full: int) -> _Pack:
        """With more at its end; closed if it spans so many passes."""
        grown = replace(self, last=last, started=started, pack=self.pack + more)
        return grown.closed() if last - self.first + 1 >= full else grown

    def closed(self) -> _Pack:
        """Nothing more is put to it."""
        try:
            pack = closed(self.pack)
        except DAMAGED:
            pack = self.pack
        return replace(self, thinned=_grows(self.thinned), pack=pack)

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
