"""Several nodes reserved for one task: one leads and runs it, the others keep themselves free for it.

    free -> follow -> follows ---------------------> disband -> free
    free -> lead   -> waits -> runs -> has done ---> disband -> free

`follow` and `lead` are refused by a node that is in another gang, so two gangs never share a node. A node
that is in a gang takes no other task, whatever room it has, and what it ran before ends there: an answer to
`follow` is no proof that it is free. So a head takes its message only when it is empty itself and every other
node has said so, in an account given after it began to follow (`lead` names those that have not, `ready` says
which have by now); after `PATIENCE` it gives up. It takes exactly one message; when its task ends, however it
ends, it tells the others to disband and says so to the control side. A worker that is started again finds
itself in the gang still, and follows: its task, if it led, goes to another reservation.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from celery_resources.errors import ResourceError
from celery_resources.need.requirement import Requirement

PATIENCE = 600.0
"""Seconds for which a head waits for what the others ran before; then its gang is disbanded."""


def new_gang_id(queue: str) -> str:
    """A new id for a gang of this queue. The queue is part of it, so that nothing about a gang has to be
    remembered anywhere but on its nodes.
    """
    return f"{queue}/{uuid.uuid4().hex[:12]}"


def queue_of_gang(gang: str) -> str:
    """The queue that a gang of this id was formed for."""
    return gang.rpartition("/")[0]


class GangRefused(ResourceError):
    """A node cannot do what was asked of it for a gang; the message says why."""


class Role(Enum):
    """What a node does in its gang, in the order of a head's life."""

    FOLLOWS = "follows"
    WAITS = "waits"
    RUNS = "runs"
    DONE = "done"


@dataclass(frozen=True, kw_only=True)
class Gang:
    """A reservation of several nodes."""

    id: str
    members: tuple[str, ...]
    """Node names, the head first."""
    queue: str = ""
    """Where the head takes its one message from; empty on the others."""
    requirement: Requirement | None = None
    """What the task needs of each node."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """Host names, the head first."""
        return tuple(member.rpartition("@")[2] for member in self.members)

    def to_json(self) -> dict[str, Any]:
        """As it is kept and told."""
        return {"id": self.id, "members": list(self.members)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Gang:
        """The inverse of `to_json`."""
        return cls(id=str(value["id"]), members=tuple(value["members"]))


class Duty:
    """The gang that this node is in, if any."""

    def __init__(self, gang: Gang | None) -> None:
        self.gang = gang
        self.role = Role.FOLLOWS
        self.request: Any = None
        """What the head runs."""
        self.lacks: frozenset[str] = frozenset()
        """The nodes that the head waits for: they have not said yet that they are empty."""
        self._since = 0.0
        self.owes = False
        """This node has not said yet that it is empty since it follows."""

    def check_free_for(self, gang: str) -> None:
        """GangRefused if this node is in another gang."""
        if self.gang is not None and self.gang.id != gang:
            raise GangRefused(f"this node is in gang {self.gang.id}, whose head is {self.gang.members[0]}")

    def follow(self, gang: Gang) -> None:
        """Keep this node free for the gang."""
        self.check_free_for(gang.id)
        self.gang, self.role = gang, Role.FOLLOWS

    def lead(self, gang: Gang, lacks: Collection[str] = (), now: float | None = None) -> None:
        """Take one message for the gang, and no more, when none of `lacks` is waited for any more. Again for
        the same gang changes nothing. `now`: monotonic seconds.
        """
        self.check_free_for(gang.id)
        if self.gang is None or self.role is Role.FOLLOWS:
            self.gang, self.role, self.owes = gang, Role.WAITS, False
            self.lacks = frozenset(lacks) - {gang.members[0]}
            self._since = time.monotonic() if now is None else now

    def ready(self, gang: str, members: Collection[str]) -> None:
        """These are empty. GangRefused if this node leads no gang of that name."""
        if self.gang is None or self.gang.id != gang or self.role is Role.FOLLOWS:
            raise GangRefused(f"this node does not lead gang {gang}")
        self.lacks -= frozenset(members)

    def is_kept_waiting(self, now: float) -> bool:
        """Has the head waited for others for too long (monotonic seconds)?"""
        return self.role is Role.WAITS and bool(self.lacks) and now - self._since > PATIENCE

    def disband(self, gang: str) -> bool:
        """Leave the gang; False if this node is in none of that name, or runs its task."""
        if self.gang is None or self.gang.id != gang or self.role is Role.RUNS:
            return False
        self.gang, self.request, self.lacks, self.owes = None, None, frozenset(), False
        return True

    def wants(self, queue: str) -> bool:
        """Is this the message that the head waits for?"""
        return (
            self.gang is not None and self.role is Role.WAITS and queue == self.gang.queue and not self.lacks
        )

    def started(self, request: Any) -> None:
        """The one message has come."""
        self.request, self.role = request, Role.RUNS

    def ended(self, requests: list[Any]) -> bool:
        """True if the gang's task is among those that ended."""
        if self.role is not Role.RUNS or self.request not in requests:
            return False
        self.request, self.role = None, Role.DONE
        return True

    def told(self) -> dict[str, Any] | None:
        """The gang, as a node tells it."""
        if self.gang is None:
            return None
        lacks = {"lacks": sorted(self.lacks)} if self.lacks else {}
        return {**self.gang.to_json(), "role": self.role.value, **lacks}
