"""When nodes were first seen, ready, at work and needed: the only thing that outlives a pass.

Two clocks run per node. *Active* stops while work runs on the node or is planned for it: the idle clock.
*Needed* stops while the plan could not do without the node: a fleet whose every node nibbles at one queue is
active all over, and still shrinks.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

from scalelib.node import Node, NodeId, NodeState
from scalelib.sqlitefile import SharedFile, Tables

KEPT: Final = timedelta(days=7)
"""How long the times of a node that is gone are kept."""

BOOTS: Final = 100
"""Of so many nodes, the last ones, the boot time is told."""

_TABLES: Final = Tables(
    name="node_history",
    called="node history",
    steps=(
        (
            """
            CREATE TABLE node_history (
                node_id     TEXT PRIMARY KEY,
                created     INTEGER NOT NULL,  -- microseconds since 1970, UTC
                ready       INTEGER,
                last_active INTEGER NOT NULL,
                last_needed INTEGER NOT NULL,
                gone        INTEGER
            ) WITHOUT ROWID
            """,
        ),
        ("CREATE INDEX node_history_gone ON node_history (gone) WHERE gone IS NOT NULL",),
        ("ALTER TABLE node_history ADD COLUMN booting INTEGER",),
        ("CREATE TABLE node_history_plan (fact TEXT NOT NULL)",),
    ),
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeTimes:
    """The clocks of one node; all aware, in UTC."""

    created: datetime
    """When it was first seen."""
    ready: datetime | None = None
    """When it was first seen ready; None: never yet."""
    last_active: datetime | None = None
    """When something last ran there or was planned for it, or it was not ready."""
    last_needed: datetime | None = None
    """When the plan last could not do without it, or it was not ready."""
    booting: datetime | None = None
    """Since when it has been booting, this time; None: it is not, or that was not noted."""

    @property
    def boot_began(self) -> datetime:
        """When a node that boots began to: at the latest when something else was last noted of it."""
        known = (self.booting, self.created if self.ready is None else self.last_active or self.ready)
        return next(each for each in known if each is not None)


class NodeHistory(Protocol):
    """What the planner remembers from pass to pass."""

    def times(self) -> Mapping[NodeId, NodeTimes]:
        """The clocks of the nodes seen at the last update."""

    def update(
        self, now: datetime, nodes: Iterable[Node], active: Collection[NodeId], needed: Collection[NodeId]
    ) -> None:
        """Note what the nodes are now. `nodes` are all there are: others are gone."""

    def clock_was_set(self, by: timedelta, now: datetime) -> None:
        """The clock that gives `now` was set, and not so much time has passed: the clocks of the nodes show
        what they showed.
        """


class MemoryNodeHistory:
    """A history that is forgotten with the process: for tests and for looking at a plan once."""

    def __init__(self, times: Mapping[NodeId, NodeTimes] | None = None) -> None:
        self._times = dict(times or {})
        self._plan: Mapping[str, Any] | None = None

    def times(self) -> Mapping[NodeId, NodeTimes]:
        """The clocks of the nodes seen at the last update."""
        return dict(self._times)

    def update(
        self, now: datetime, nodes: Iterable[Node], active: Collection[NodeId], needed: Collection[NodeId]
    ) -> None:
        """Note what the nodes are now."""
        self._times = {
            node.id: advance(
                self._times.get(node.id), node, now, active=node.id in active, needed=node.id in needed
            )
            for node in _remembered(nodes)
        }

    def plan(self) -> Mapping[str, Any] | None:
        """For whom the last plan's nodes are (`scalelib.meant`)."""
        return self._plan

    def remember_plan(self, fact: Mapping[str, Any]) -> None:
        """Keep it, in place of what was kept before."""
        self._plan = fact

    def clock_was_set(self, by: timedelta, now: datetime) -> None:
        """Every remembered time is as long ago as it was."""
        self._times = {node_id: moved(times, by, now) for node_id, times in self._times.items()}

    def unobserved(self, by: timedelta, now: datetime) -> None:
        """Idle and surplus clocks show what they showed."""
        self._times = {
            node_id: replace(
                times,
                last_active=None if times.last_active is None else min(times.last_active + by, now),
                last_needed=None if times.last_needed is None else min(times.last_needed + by, now),
            )
            for node_id, times in self._times.items()
        }


def moved(times: NodeTimes, by: timedelta, now: datetime) -> NodeTimes:
    """The same times by a clock that was set; none is in the future."""
    return NodeTimes(
        created=min(times.created + by, now),
        ready=None if times.ready is None else min(times.ready + by, now),
        last_active=None if times.last_active is None else min(times.last_active + by, now),
        last_needed=None if times.last_needed is None else min(times.last_needed + by, now),
        booting=None if times.booting is None else min(times.booting + by, now),
    )


def seen_booting(
    times: Mapping[NodeId, NodeTimes], nodes: Iterable[Node], now: datetime
) -> dict[NodeId, NodeTimes]:
    """The clocks as they are at a look: a node that has begun to boot since the last one began now.

    It may have been up, or switched off for days: how long ago it was made says nothing about that.
    """
    found = dict(times)
    for node in nodes:
        before = times.get(node.id)
        if node.is_booting and before is not None and before.booting is None:
            found[node.id] = replace(before, booting=now)
    return found


def advance(times: NodeTimes | None, node: Node, now: datetime, *, active: bool, needed: bool) -> NodeTimes:
    """The clocks after one more look.

    The idle clock starts at the first look, and anew whenever work is there or the node is not ready. A clock
    that was set back must not make a node look idle for years to come, so no time is ever in the future.
    """
    if times is None:
        return NodeTimes(
            created=now,
            ready=now if node.is_ready else None,
            last_active=now,
            last_needed=now,
            booting=now if node.is_booting else None,
        )
    busy, wanted = active or not node.is_ready, needed or not node.is_ready
    return NodeTimes(
        created=min(times.created, now),
        ready=min(times.ready, now) if times.ready else (now if node.is_ready else None),
        last_active=now if busy or times.last_active is None else min(times.last_active, now),
        last_needed=now if wanted or times.last_needed is None else min(times.last_needed, now),
        booting=min(times.booting or now, now) if node.is_booting else None,
    )


def _remembered(nodes: Iterable[Node]) -> list[Node]:
    """Hosts of others and ended nodes have no clocks here."""
    return [node for node in nodes if node.managed and node.id and node.state is not NodeState.TERMINATED]


class SQLiteNodeHistory:
    """A history in a SQLite file, which it may share with other tables.

    `path`: the file; without one $SCALELIB_HISTORY, else `nodehistory.db` in the working directory.
    Readers may look while it is being written.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.path = Path(path or os.environ.get("SCALELIB_HISTORY") or "nodehistory.db")
        self._file = SharedFile(self.path, _TABLES, seconds=30, synchronous="NORMAL")

    @classmethod
    def look(cls, path: str | os.PathLike[str]) -> SQLiteNodeHistory:
        """Only look: no file is made, and none is written to. Where there is none, nothing is remembered."""
        looking = cls.__new__(cls)
        looking.path = Path(path)
        looking._file = SharedFile.look(path, _TABLES)
        return looking

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __enter__(self) -> SQLiteNodeHistory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def times(self) -> Mapping[NodeId, NodeTimes]:
        """The clocks of the nodes seen at the last update."""
        # All columns: a look may find a file of an older version, which has no `booting` at the end.
        rows = self._file.rows("SELECT * FROM node_history WHERE gone IS NULL")
        return {
            NodeId(node_id): NodeTimes(
                created=_instant(created),
                ready=None if ready is None else _instant(ready),
                last_active=_instant(active),
                last_needed=_instant(needed),
                booting=_instant(more[0]) if more and more[0] is not None else None,
            )
            for node_id, created, ready, active, needed, _, *more in rows
        }

    def boot_time(self) -> timedelta | None:
        """How long the last nodes took from the first look to being ready, in the middle; those that are gone
        count. None: none is known that was not ready at the first look.
        """
        took = self._file.rows(
            "SELECT ready - created FROM node_history WHERE ready > created ORDER BY created DESC LIMIT ?",
            (BOOTS,),
        )
        found = sorted(duration for (duration,) in took)
        return found[len(found) // 2] * _MICROSECOND if found else None

    def update(
        self, now: datetime, nodes: Iterable[Node], active: Collection[NodeId], needed: Collection[NodeId]
    ) -> None:
        """Note what the nodes are now, in one transaction: a reader sees all of it or nothing."""
        if now.tzinfo is None:
            raise ValueError(f"now: {now!r} has no time zone: pass datetime.now(UTC)")
        now = now.astimezone(UTC)
        with self._file.transaction() as db:
            before = self.times()
            after = {
                node.id: advance(
                    before.get(node.id), node, now, active=node.id in active, needed=node.id in needed
                )
                for node in _remembered(nodes)
            }
            db.executemany(
                "INSERT INTO node_history (node_id, created, ready, last_active, last_needed, booting, gone) "
                "VALUES (?, ?, ?, ?, ?, ?, NULL) ON CONFLICT (node_id) DO UPDATE SET "
                "created = excluded.created, ready = excluded.ready, last_active = excluded.last_active, "
                "last_needed = excluded.last_needed, booting = excluded.booting, gone = NULL",
                [_row(node_id, times) for node_id, times in after.items() if times != before.get(node_id)],
            )
            db.executemany(
                "UPDATE node_history SET gone = ? WHERE node_id = ?",
                [(_number(now), node_id) for node_id in before.keys() - after.keys()],
            )
            db.execute("DELETE FROM node_history WHERE gone < ?", (_number(now - KEPT),))

    def plan(self) -> Mapping[str, Any] | None:
        """For whom the last plan's nodes are (`scalelib.meant`)."""
        rows = self._file.rows("SELECT fact FROM node_history_plan")
        return json.loads(rows[0][0]) if rows else None

    def remember_plan(self, fact: Mapping[str, Any]) -> None:
        """Keep it, in place of what was kept before."""
        with self._file.transaction() as db:
            db.execute("DELETE FROM node_history_plan")
            db.execute("INSERT INTO node_history_plan VALUES (?)", (json.dumps(fact),))

    def clock_was_set(self, by: timedelta, now: datetime) -> None:
        """Every remembered time is as long ago as it was."""
        step, latest = by // _MICROSECOND, _number(now)
        with self._file.transaction() as db:
            db.execute(
                "UPDATE node_history SET created = min(created + :step, :latest), "
                "ready = min(ready + :step, :latest), last_active = min(last_active + :step, :latest), "
                "last_needed = min(last_needed + :step, :latest), "
                "booting = min(booting + :step, :latest) WHERE gone IS NULL",
                {"step": step, "latest": latest},
            )

    def unobserved(self, by: timedelta, now: datetime) -> None:
        """Idle and surplus clocks show what they showed."""
        with self._file.transaction() as db:
            db.execute(
                "UPDATE node_history SET last_active = min(last_active + :step, :latest), "
                "last_needed = min(last_needed + :step, :latest) WHERE gone IS NULL",
                {"step": by // _MICROSECOND, "latest": _number(now)},
            )


def _number(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND


def _instant(number: int) -> datetime:
    return _EPOCH + number * _MICROSECOND


def _row(node_id: NodeId, times: NodeTimes) -> tuple[object, ...]:
    return (
        node_id,
        _number(times.created),
        None if times.ready is None else _number(times.ready),
        _number(times.last_active or times.created),
        _number(times.last_needed or times.created),
        None if times.booting is None else _number(times.booting),
    )
