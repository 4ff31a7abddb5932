"""Launches that happen once: what was meant is written down before it is sent, and settled after.

A control process may die between any two steps. What it leaves behind is an open intent, and the next pass
asks the server what became of it:

    written, not sent          the server has never heard of it -> sent again with the same id
    sent, still on its way     the server has never heard of it -> sent again with the same id
    sent, answer lost          the server knows it              -> its nodes are adopted
    answered, not written      the server knows it              -> its nodes are adopted
    answered with trouble      the server has never heard of it -> given up; the next plan knows better
    answered and written       settled; nothing to do

Sending again is harmless: the server carries out a request id once and answers 409 to every repeat; in case
it has forgotten the id, the nodes are searched for it first. Giving up what may still be on its way would not
be: it could arrive after its substitute.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum
from typing import Protocol

from scalelib.node import NodeId
from scalelib.provider import LaunchRequest, LaunchResult
from scalelib.sqlitefile import SharedFile

_NAMESPACE = uuid.UUID("6f5f9a0e-4f43-5c56-9c0f-0d8f6a0b7c11")


class Fate(Enum):
    """What became of an intent, in the order in which it can be known."""

    OPEN = "open"
    """Written; whether the server carried it out is not known."""
    DONE = "done"
    """Carried out; `added` says how many nodes, which may be none."""
    REFUSED = "refused"
    """The server understood and refused."""
    LOST = "lost"
    """The server never heard of it, and it is not sent again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Intent:
    """One launch that was meant."""

    request: LaunchRequest
    written: datetime
    fate: Fate = Fate.OPEN
    sends: int = 0
    """How often it was sent, or is about to be."""
    in_flight: bool = True
    """Whether it may still be on its way to the server."""
    settled: datetime | None = None
    added: int | None = None
    message: str = ""
    nodes: tuple[tuple[NodeId, str], ...] = ()

    def sending(self) -> Intent:
        """The same, about to be sent once more."""
        return replace(self, sends=self.sends + 1, in_flight=True)

    def done(self, result: LaunchResult, now: datetime) -> Intent:
        """The same, carried out."""
        return replace(
            self,
            fate=Fate.DONE,
            settled=now,
            added=result.added,
            message=result.message,
            nodes=result.nodes,
        )

    def ended(self, fate: Fate, message: str, now: datetime) -> Intent:
        """The same, with nothing created."""
        return replace(self, fate=fate, settled=now, added=0, message=message)


class IntentStore(Protocol):
    """Where intents are kept. What `write` was given survives the process once it has returned."""

    def write(self, intent: Intent) -> None:
        """Keep an intent, in place of the one with the same request id if there is one."""

    def find(self, request_id: str) -> Intent | None:
        """One intent."""

    def open(self) -> tuple[Intent, ...]:
        """Those whose fate is not known, oldest first."""

    def since(self, instant: datetime) -> tuple[Intent, ...]:
        """Those written at or after an instant, oldest first."""

    def generation(self) -> int:
        """How many intents were ever settled; grows, never falls."""

    def forget_before(self, instant: datetime) -> None:
        """Drop settled intents that were written before an instant."""

    def close(self) -> None:
        """Let go of the file, if there is one."""


def request_id(request: LaunchRequest, *, cluster: str, seen: Iterable[NodeId], generation: int) -> str:
    """An id that the same launch in the same situation gets again, and no other launch ever.

    The situation is the nodes that exist and the launches that were settled before. So a pass that is
    repeated after a crash makes the same id and cannot create twice; and the same wish on another day, with
    the cluster just as empty, makes another one.
    """
    content = [
        cluster,
        request.nodearray,
        request.vm_size,
        request.count,
        request.spot,
        request.placement_group,
        generation,
        sorted(seen),
    ]
    return str(uuid.uuid5(_NAMESPACE, json.dumps(content, separators=(",", ":"))))


class MemoryIntents:
    """Intents that live as long as the process: for tests, and for use without a state file."""

    def __init__(self) -> None:
        self._intents: dict[str, Intent] = {}
        self._settled = 0

    def write(self, intent: Intent) -> None:
        """Keep it."""
        before = self._intents.get(intent.request.request_id)
        if intent.fate is not Fate.OPEN and (before is None or before.fate is Fate.OPEN):
            self._settled += 1
        self._intents[intent.request.request_id] = intent

    def find(self, request_id: str) -> Intent | None:
        """One intent."""
        return self._intents.get(request_id)

    def open(self) -> tuple[Intent, ...]:
        """Those whose fate is not known."""
        return _by_age(i for i in self._intents.values() if i.fate is Fate.OPEN)

    def since(self, instant: datetime) -> tuple[Intent, ...]:
        """Those written at or after an instant."""
        return _by_age(i for i in self._intents.values() if i.written >= instant)

    def generation(self) -> int:
        """How many were ever settled."""
        return self._settled

    def forget_before(self, instant: datetime) -> None:
        """Drop old settled ones."""
        old = [k for k, i in self._intents.items() if i.fate is not Fate.OPEN and i.written < instant]
        for key in old:
            del self._intents[key]

    def close(self) -> None:
        """Nothing to let go of."""


class SQLiteIntents:
    """Intents in the state file."""

    def __init__(self, file: SharedFile) -> None:
        self._file = file

    def write(self, intent: Intent) -> None:
        """Keep it; on the disk when this returns."""
        request = intent.request
        with self._file.transaction() as run:
            before = run.execute(
                "SELECT fate FROM cyclecloud_intents WHERE request_id = ?", (request.request_id,)
            ).fetchone()
            if intent.fate is not Fate.OPEN and (before is None or before[0] == Fate.OPEN.value):
                run.execute(
                    "INSERT INTO cyclecloud_memory VALUES ('generation', '1') "
                    "ON CONFLICT (name) DO UPDATE SET document = CAST(document AS INTEGER) + 1"
                )
            run.execute(
                "INSERT OR REPLACE INTO cyclecloud_intents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    request.request_id,
                    request.nodearray,
                    request.vm_size,
                    request.count,
                    int(request.spot),
                    request.placement_group,
                    intent.written.astimezone(UTC).isoformat(),
                    intent.fate.value,
                    intent.sends,
                    int(intent.in_flight),
                    None if intent.settled is None else intent.settled.astimezone(UTC).isoformat(),
                    intent.added,
                    intent.message,
                    json.dumps(intent.nodes),
                ),
            )

    def find(self, request_id: str) -> Intent | None:
        """One intent."""
        found = self._select("WHERE request_id = ?", request_id)
        return found[0] if found else None

    def open(self) -> tuple[Intent, ...]:
        """Those whose fate is not known."""
        return self._select("WHERE fate = ?", Fate.OPEN.value)

    def since(self, instant: datetime) -> tuple[Intent, ...]:
        """Those written at or after an instant."""
        return self._select("WHERE written >= ?", instant.astimezone(UTC).isoformat())

    def generation(self) -> int:
        """How many were ever settled."""
        rows = self._file.rows("SELECT document FROM cyclecloud_memory WHERE name = 'generation'")
        return int(str(rows[0][0])) if rows else 0

    def forget_before(self, instant: datetime) -> None:
        """Drop old settled ones."""
        with self._file.transaction() as run:
            run.execute(
                "DELETE FROM cyclecloud_intents WHERE fate <> ? AND written < ?",
                (Fate.OPEN.value, instant.astimezone(UTC).isoformat()),
            )

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _select(self, condition: str, *values: object) -> tuple[Intent, ...]:
        columns = (
            "request_id, nodearray, vm_size, count, spot, placement_group, "
            "written, fate, sends, in_flight, settled, added, message, nodes"
        )
        rows = self._file.rows(f"SELECT {columns} FROM cyclecloud_intents {condition}", values)
        return _by_age(_from_row(*row) for row in rows)


def _from_row(
    request_id: str,
    nodearray: str,
    vm_size: str,
    count: int,
    spot: int,
    placement_group: str | None,
    written: str,
    fate: str,
    sends: int,
    in_flight: int,
    settled: str | None,
    added: int | None,
    message: str,
    nodes: str,
) -> Intent:
    return Intent(
        request=LaunchRequest(
            request_id=request_id,
            nodearray=nodearray,
            vm_size=vm_size,
            count=count,
            spot=bool(spot),
            placement_group=placement_group,
        ),
        written=datetime.fromisoformat(written),
        fate=Fate(fate),
        sends=sends,
        in_flight=bool(in_flight),
        settled=None if settled is None else datetime.fromisoformat(settled),
        added=added,
        message=message,
        nodes=tuple((NodeId(node_id), name) for node_id, name in json.loads(nodes)),
    )


def _by_age(intents: Iterable[Intent]) -> tuple[Intent, ...]:
    return tuple(sorted(intents, key=lambda i: (i.written, i.request.request_id)))
