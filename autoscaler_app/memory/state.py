"""What the control side remembers between passes: one SQLite file on the broker node.

Losing it costs idle clocks and the journal, nothing else: queue kinds are announced again, hosts speak for
themselves, and the cloud knows what it created.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from autoscaler_app.memory.journal import book
from autoscaler_app.memory.journal.book import JournalBook
from autoscaler_app.memory.kinds import QueueKinds
from autoscaler_app.memory.moments import from_text, to_text
from scalelib.errors import InvalidConfig
from scalelib.sqlitefile import SharedFile, Tables

TABLES = Tables(
    name="control",
    steps=(
        # Files of before there was a version have some of them already.
        (
            """CREATE TABLE IF NOT EXISTS queue_kind (
                queue TEXT PRIMARY KEY, requirement TEXT NOT NULL, announced TEXT NOT NULL)""",
            """CREATE TABLE IF NOT EXISTS host (
                node_id TEXT PRIMARY KEY, hostname TEXT NOT NULL, nodenames TEXT NOT NULL,
                heard TEXT NOT NULL, tasks TEXT NOT NULL)""",
            """CREATE TABLE IF NOT EXISTS drain (
                node_id TEXT PRIMARY KEY, hostname TEXT NOT NULL, reason TEXT NOT NULL, chosen TEXT NOT NULL,
                fenced TEXT, shut_down TEXT, nodenames TEXT NOT NULL DEFAULT '[]',
                departed TEXT NOT NULL DEFAULT '[]')""",
            "CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
            """CREATE TABLE IF NOT EXISTS journal (
                number INTEGER PRIMARY KEY AUTOINCREMENT, started TEXT NOT NULL, report TEXT NOT NULL)""",
        ),
        (
            """CREATE TABLE IF NOT EXISTS node_key (
                node_id TEXT PRIMARY KEY, instance_id TEXT NOT NULL, hostname TEXT NOT NULL,
                key TEXT NOT NULL, bound TEXT NOT NULL)""",
        ),
        ("ALTER TABLE host ADD COLUMN queues TEXT NOT NULL DEFAULT '{}'",),
        book.STEP,
    ),
)


LOOKED = "looked"
"""Fact: when the last look of a listening pass began, seconds since the epoch, and whether it was whole."""


class Drain(msgspec.Struct, frozen=True, kw_only=True):
    """One node on its way out. A stage that has not been shown has no time."""

    node_id: str
    hostname: str
    reason: str
    chosen: datetime
    fenced: datetime | None = None
    """When every worker process of the host had said that it takes no more."""
    shut_down: datetime | None = None
    """When the workers were told to shut down."""
    processes: tuple[str, ...] = ()
    """The worker processes that were told, by name, id and start."""
    last_words: tuple[str, ...] = ()
    """Those of them that have shut down cleanly: the proof."""


class KnownHost(msgspec.Struct, frozen=True, kw_only=True):
    """A host that has been heard at least once."""

    hostname: str
    node_id: str
    nodenames: tuple[str, ...]
    heard: datetime
    """When it last told what it runs."""
    tasks: tuple[str, ...] = ()
    """Ids of the tasks that it ran or held then: to be given back should it die."""
    queues: Mapping[str, tuple[str, ...]] = {}
    """By task: the queues that it said it took it from; of a task that came by two queues it may have two."""


class Binding(msgspec.Struct, frozen=True, kw_only=True):
    """The key that one machine signs with."""

    node_id: str
    instance_id: str
    """Of the machine; empty while the cloud does not tell."""
    hostname: str
    key: str
    bound: datetime
    """Since when nothing else is believed in that name."""


class State:
    """The state file. Safe to use from several threads and processes; every method is one transaction.

    Raises InvalidConfig, a sentence that names the file, where it cannot be used.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidConfig(f"state file {str(path)!r}: no folder for it: {error.strerror}") from error
        self.path, self._file = path, SharedFile(path, TABLES)
        self.kinds, self.journal = QueueKinds(self._file), JournalBook(self._file)

    @classmethod
    def look(cls, path: Path) -> State:
        """Only look: no file is made, and none is written to. Where there is none, nothing is remembered."""
        looking = cls.__new__(cls)
        looking.path, looking._file = path, SharedFile.look(path, TABLES)
        looking.kinds, looking.journal = QueueKinds(looking._file), JournalBook(looking._file)
        return looking

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    # -- hosts

    def heard(self, hosts: Iterable[KnownHost]) -> None:
        """Remember what these hosts told last; what another process heard of one later stands."""
        with self._file.transaction() as db:
            db.executemany(
                "INSERT INTO host (node_id, hostname, nodenames, heard, tasks, queues) "
                "VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (node_id) DO UPDATE SET hostname = excluded.hostname, "
                "nodenames = excluded.nodenames, heard = excluded.heard, tasks = excluded.tasks, "
                "queues = excluded.queues "
                "WHERE excluded.heard >= host.heard",
                [
                    (
                        h.node_id,
                        h.hostname,
                        json.dumps(h.nodenames),
                        to_text(h.heard),
                        json.dumps(h.tasks),
                        json.dumps(h.queues),
                    )
                    for h in hosts
                ],
            )

    def known_hosts(self) -> dict[str, KnownHost]:
        """Every host that has been heard, by node id."""
        rows = self._file.rows("SELECT * FROM host")
        return {
            row["node_id"]: KnownHost(
                hostname=row["hostname"],
                node_id=row["node_id"],
                nodenames=tuple(json.loads(row["nodenames"])),
                heard=from_text(row["heard"]),
                tasks=tuple(json.loads(row["tasks"])),
                queues={task: tuple(queues) for task, queues in json.loads(row["queues"]).items()},
            )
            for row in rows
        }

    def forget_nodes(self, node_ids: set[str]) -> None:
        """These nodes are gone."""
        with self._file.transaction() as db:
            for table in ("host", "drain", "node_key"):
                db.executemany(f"DELETE FROM {table} WHERE node_id = ?", [(i,) for i in sorted(node_ids)])

    # -- drains

    def drains(self) -> dict[str, Drain]:
        """Every node on its way out, by node id."""
        rows = self._file.rows("SELECT * FROM drain")
        return {row["node_id"]: _drain(row) for row in rows}

    def begin_drain(self, node_id: str, hostname: str, reason: str, now: datetime) -> None:
        """A node was chosen to go. A drain that has begun goes on as it is."""
        with self._file.transaction() as db:
            db.execute(
                "INSERT OR IGNORE INTO drain (node_id, hostname, reason, chosen) VALUES (?, ?, ?, ?)",
                (node_id, hostname, reason, to_text(now)),
            )

    def mark_fenced(self, node_id: str, now: datetime) -> None:
        """Every worker process of the node has said that it takes no more."""
        with self._file.transaction() as db:
            db.execute("UPDATE drain SET fenced = ? WHERE node_id = ?", (to_text(now), node_id))

    def mark_shut_down(self, node_id: str, processes: Iterable[str], now: datetime) -> None:
        """These worker processes are about to be told to shut down; earlier last words prove nothing."""
        with self._file.transaction() as db:
            db.execute(
                "UPDATE drain SET shut_down = ?, nodenames = ?, departed = '[]' WHERE node_id = ?",
                (to_text(now), json.dumps(sorted(processes)), node_id),
            )

    def end_drain(self, node_id: str) -> None:
        """This node is to stay after all."""
        with self._file.transaction() as db:
            db.execute("DELETE FROM drain WHERE node_id = ?", (node_id,))

    def last_word(self, process: str) -> bool:
        """A worker process has shut down cleanly. True if a drain was waiting for that.

        One of another process of the same name proves nothing.
        """
        with self._file.transaction() as db:
            rows = db.execute("SELECT * FROM drain").fetchall()
            rows = [row for row in rows if process in json.loads(row["nodenames"])]
            for row in rows:
                last_words = sorted({*json.loads(row["departed"]), process})
                db.execute(
                    "UPDATE drain SET departed = ? WHERE node_id = ?",
                    (json.dumps(last_words), row["node_id"]),
                )
        return bool(rows)

    # -- keys

    def key_bindings(self) -> dict[str, Binding]:
        """The key of each machine that has one, by node id."""
        rows = self._file.rows("SELECT * FROM node_key")
        return {
            row["node_id"]: Binding(
                node_id=row["node_id"],
                instance_id=row["instance_id"],
                hostname=row["hostname"],
                key=row["key"],
                bound=from_text(row["bound"]),
            )
            for row in rows
        }

    def bind_key(self, binding: Binding) -> None:
        """From now on this machine has this key."""
        with self._file.transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO node_key (node_id, instance_id, hostname, key, bound) "
                "VALUES (?, ?, ?, ?, ?)",
                (
                    binding.node_id,
                    binding.instance_id,
                    binding.hostname,
                    binding.key,
                    to_text(binding.bound),
                ),
            )

    def unbind_key(self, node_id: str) -> bool:
        """The next key that speaks in this node's name is to be its key. False if it had none."""
        with self._file.transaction() as db:
            return db.execute("DELETE FROM node_key WHERE node_id = ?", (node_id,)).rowcount > 0

    # -- time

    def clock_was_set(self, by: timedelta, now: datetime) -> None:
        """The clock was set: what is remembered is as long ago as it was."""

        def moved(text: str | None) -> str | None:
            return None if text is None else to_text(min(from_text(text) + by, now))

        with self._file.transaction() as db:
            hosts = db.execute("SELECT node_id, heard FROM host").fetchall()
            db.executemany(
                "UPDATE host SET heard = ? WHERE node_id = ?",
                [(moved(row["heard"]), row["node_id"]) for row in hosts],
            )
            drains = db.execute("SELECT node_id, chosen, fenced, shut_down FROM drain").fetchall()
            db.executemany(
                "UPDATE drain SET chosen = ?, fenced = ?, shut_down = ? WHERE node_id = ?",
                [(*map(moved, (r["chosen"], r["fenced"], r["shut_down"])), r["node_id"]) for r in drains],
            )
            _move_moments(db, by, now)
            _change(db, LOOKED, lambda at: at and [min(at[0] + by.total_seconds(), now.timestamp()), at[1]])

    def ahead_of(self, now: datetime) -> timedelta:
        """By so much at least, which is negative, the clock was set back since the last look; or 0."""
        looked = self.fact(LOOKED)
        return timedelta(seconds=min(0.0, now.timestamp() - looked[0])) if looked else timedelta()

    def unobserved_before(self, listening_since: datetime | None, now: datetime) -> timedelta:
        """A look begins: how much of the time since the last one nobody observed, nor was a look made of it.

        That is all of it where the last look failed, else the time until we listened. What is remembered of
        hungry hosts is moved by as much.
        """
        with self._file.transaction() as db:
            before = _change(db, LOOKED, lambda at: at)
            _change(db, LOOKED, lambda _: [now.timestamp(), False])
            if before is None:
                return timedelta()
            at, was_whole = before
            heard_since = min(listening_since or now, now) if was_whole else now
            by = timedelta(seconds=max(0.0, heard_since.timestamp() - at))
            _move_moments(db, by, now)
        return by

    def looked(self) -> None:
        """The look that began is whole."""
        self.change(LOOKED, lambda at: at and [at[0], True])

    # -- facts

    def fact(self, name: str) -> Any:
        """A small remembered value; None if there is none."""
        rows = self._file.rows("SELECT value FROM fact WHERE name = ?", (name,))
        return json.loads(rows[0]["value"]) if rows else None

    def set_fact(self, name: str, value: Any) -> None:
        """Remember a small value."""
        with self._file.transaction() as db:
            db.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, json.dumps(value)))

    def change(self, name: str, change: Callable[[Any], Any]) -> Any:
        """Read a small value, compute the next one from it (None: there was none), remember that, in one
        transaction: what another process writes meanwhile is not lost. Returns what is remembered now.
        """
        with self._file.transaction() as db:
            return _change(db, name, change)

    def reports(self, last: int) -> list[tuple[int, bytes]]:
        """The newest reports of the journal, newest first, each with its number."""
        return self.journal.latest(last)


def _move_moments(db: sqlite3.Connection, by: timedelta, now: datetime) -> None:
    """Facts that say by name since when something is so."""
    latest, seconds = now.timestamp(), by.total_seconds()
    for fact in ("hungry", "untimed"):
        _change(
            db,
            fact,
            lambda moments: {name: min(since + seconds, latest) for name, since in (moments or {}).items()},
        )


def _change(db: sqlite3.Connection, name: str, change: Callable[[Any], Any]) -> Any:
    row = db.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
    before = json.loads(row["value"]) if row else None
    after = change(before)
    if after != before:
        db.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, json.dumps(after)))
    return after


def _drain(row: sqlite3.Row) -> Drain:
    return Drain(
        node_id=row["node_id"],
        hostname=row["hostname"],
        reason=row["reason"],
        chosen=from_text(row["chosen"]),
        fenced=from_text(row["fenced"]) if row["fenced"] else None,
        shut_down=from_text(row["shut_down"]) if row["shut_down"] else None,
        processes=tuple(json.loads(row["nodenames"])),
        last_words=tuple(json.loads(row["departed"])),
    )
