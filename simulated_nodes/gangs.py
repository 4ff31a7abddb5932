"""Several simulated nodes reserved for one task, by the words that `celery_resources` has for it.

free -> follow -> follows ----------------> disband -> free
free -> lead   -> waits -> runs -> done --> disband -> free
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

FOLLOWS, WAITS, RUNS, DONE = "follows", "waits", "runs", "done"
"""What a node does in its gang."""


@dataclass(kw_only=True, slots=True)
class SimGang:
    """The gang that a node is in."""

    id: str
    members: Sequence[str]
    """Node names, the head first."""
    role: str = FOLLOWS
    queue: str = ""
    """Where the head takes its one message from."""
    requirement: Mapping[str, Any] | None = None
    lacks: Sequence[str] = ()
    """Node names that the head waits for: they ran something when they began to follow."""
    job_id: str = ""
    """What the head runs."""

    def told(self) -> dict[str, Any]:
        """The gang, as a node tells it."""
        lacks = {"lacks": list(self.lacks)} if self.lacks else {}
        return {"id": self.id, "members": list(self.members), "role": self.role, **lacks}


def is_gang(requirement: Mapping[str, Any]) -> bool:
    """Whether a task needs several nodes at once."""
    count = requirement.get("node_count", 0)
    return isinstance(count, int) and count > 1


def follow(now: SimGang | None, gang: str, members: Sequence[str]) -> SimGang:
    """Keep a node free for a gang; ValueError if it is in another."""
    _check_free(now, gang)
    return SimGang(id=gang, members=tuple(members))


def lead(
    now: SimGang | None,
    gang: str,
    queue: str,
    members: Sequence[str],
    requirement: Mapping[str, Any],
    lacks: Sequence[str] = (),
) -> SimGang:
    """Let a node take one message for a gang; ValueError if it is in another. Again changes nothing."""
    _check_free(now, gang)
    if now is not None and now.role != FOLLOWS:
        return now
    lacks = tuple(name for name in lacks if name != members[0])
    return SimGang(
        id=gang, members=tuple(members), role=WAITS, queue=queue, requirement=requirement, lacks=lacks
    )


def ready(now: SimGang | None, gang: str, members: Sequence[str]) -> SimGang:
    """These members are empty; ValueError if this node does not lead that gang."""
    if now is None or now.id != gang or now.role == FOLLOWS:
        raise ValueError(f"this node does not lead gang {gang}")
    return replace(now, lacks=tuple(name for name in now.lacks if name not in members))


def disband(now: SimGang | None, gang: str) -> SimGang | None:
    """Leave a gang; a node that runs its task stays in it."""
    return None if now is not None and now.id == gang and now.role != RUNS else now


def _check_free(now: SimGang | None, gang: str) -> None:
    if now is not None and now.id != gang:
        raise ValueError(f"this node is in gang {now.id}, whose head is {now.members[0]}")
