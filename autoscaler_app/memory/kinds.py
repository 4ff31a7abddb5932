"""The kinds of task that were announced: what the tasks of each queue need, kept in the state file."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from autoscaler_app.memory.moments import from_text, to_text
from scalelib.sqlitefile import SharedFile

MAX_KINDS = 5_000
"""Most kinds of task that are remembered."""

KEPT_WHERE_FULL = timedelta(minutes=30)
"""How long an unused kind is kept where room is short: a producer that goes on using one announces it again
in a third of that."""


class QueueKinds:
    """A table of the state file. Bounded; every method is one transaction."""

    def __init__(self, file: SharedFile) -> None:
        self._file = file

    def announce(
        self, kinds: Mapping[str, Mapping[str, Any]], now: datetime, *, young: timedelta = timedelta()
    ) -> tuple[int, int]:
        """Remember what the tasks of these queues need; one that was announced within `young` is left alone.

        Returns how many are new, and how many had no room because `MAX_KINDS` are known.
        """
        before = self._announced(kinds)
        new = [queue for queue in kinds if queue not in before]
        anew = [
            queue
            for queue in kinds
            if queue in before
            and (
                before[queue][0] != json.dumps(kinds[queue])
                or not timedelta() <= now - before[queue][1] < young
            )
        ]
        if not new and not anew:
            return 0, 0
        with self._file.transaction() as db:
            known = db.execute("SELECT count(*) FROM queue_kind").fetchone()[0]
            welcome = new[: max(0, MAX_KINDS - known)]
            db.executemany(
                "INSERT OR REPLACE INTO queue_kind VALUES (?, ?, ?)",
                [(queue, json.dumps(kinds[queue]), to_text(now)) for queue in (*anew, *welcome)],
            )
        return len(welcome), len(new) - len(welcome)

    def _announced(self, queues: Iterable[str]) -> dict[str, tuple[str, datetime]]:
        """Requirement as text and last announcement of those queues that are known."""
        found: dict[str, tuple[str, datetime]] = {}
        names = list(queues)
        for start in range(0, len(names), 500):
            some = names[start : start + 500]
            rows = self._file.rows(
                f"SELECT * FROM queue_kind WHERE queue IN ({','.join('?' * len(some))})", tuple(some)
            )
            found |= {row["queue"]: (row["requirement"], from_text(row["announced"])) for row in rows}
        return found

    def use(self, used: Collection[str], now: datetime, *, kept: timedelta) -> tuple[str, ...]:
        """These kinds are in use now. Forget, and return, those that nobody has announced or used for `kept`;
        where the most that are kept are known, for `KEPT_WHERE_FULL`.
        """
        rows = self._file.rows("SELECT queue, announced FROM queue_kind")
        last = {row["queue"]: from_text(row["announced"]) for row in rows}
        at_most = min(kept, KEPT_WHERE_FULL) if len(last) >= MAX_KINDS else kept
        gone = sorted(queue for queue, at in last.items() if queue not in used and now - at > at_most)
        touched = [queue for queue in used if queue in last and now - last[queue] > at_most / 4]
        if gone or touched:
            with self._file.transaction() as db:
                db.executemany("DELETE FROM queue_kind WHERE queue = ?", [(queue,) for queue in gone])
                db.executemany(
                    "UPDATE queue_kind SET announced = ? WHERE queue = ?",
                    [(to_text(now), queue) for queue in touched],
                )
        return tuple(gone)

    def all(self) -> dict[str, dict[str, Any]]:
        """Requirement by announced queue."""
        rows = self._file.rows("SELECT queue, requirement FROM queue_kind")
        return {row["queue"]: json.loads(row["requirement"]) for row in rows}
