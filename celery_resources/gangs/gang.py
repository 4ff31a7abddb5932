"""Several nodes reserved for one task: one leads and runs it, the others keep themselves free for it.

    free -> follow -> follows ---------------------> disband -> free
    free -> lead   -> waits -> runs -> has done ---> disband -> free

`follow` and `lead` are refused by a node that is in another gang, so two gangs never share a node. A node
that is in a gang takes no other task, whatever room it has. A head takes exactly one message; when its task
ends, however it ends, it tells the others to disband and says so to the control side. A worker that is
started again finds itself in the gang still, and follows: its task, if it led, goes to another reservation.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from celery_resources.errors import ResourceError
from celery_resources.need.requirement import Requirement


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

    def check_free_for(self, gang: str) -> None:
        """GangRefused if this node is in another gang."""
        if self.gang is not None and self.gang.id != gang:
            raise GangRefused(f"this node is in gang {self.gang.id}, whose head is {self.gang.members[0]}")

    def follow(self, gang: Gang) -> None:
        """Keep this node free for the gang."""
        self.check_free_for(gang.id)
        self.gang, self.role = gang, Role.FOLLOWS

    def lead(self, gang: Gang) -> None:
        """Take one message for the gang, and no more. Again for the same gang changes nothing."""
        self.check_free_for(gang.id)
        if self.gang is None or self.role is Role.FOLLOWS:
            self.gang, self.role = gang, Role.WAITS

    def disband(self, gang: str) -> bool:
        """Leave the gang; False if this node is in none of that name, or runs its task."""
        if self.gang is None or self.gang.id != gang or self.role is Role.RUNS:
            return False
        self.gang, self.request = None, None
        return True

    def wants(self, queue: str) -> bool:
        """Is this the message that the head waits for?"""
        return self.gang is not None and self.role is Role.WAITS and queue == self.gang.queue

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
        return None if self.gang is None else {**self.gang.to_json(), "role": self.role.value}
