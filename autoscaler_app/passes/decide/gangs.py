"""Gangs: which hosts are reserved together for one task, and what becomes of reservations. Pure.

A gang is formed when all of its nodes are up and free for it, never sooner: what is half there is not
reserved. From then on its nodes are taken, for the plan as on the nodes themselves; its head consumes exactly
one message. The nodes tell of their gang themselves, so nothing about it has to be remembered here: the queue
is part of the gang's name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from autoscaler_app.passes.plan import GangOrder
from autoscaler_app.passes.snapshot import HostSeen, QueueSeen
from celery_resources.gangs.gang import Role, queue_of_gang

WAITS, RUNS = Role.WAITS.value, Role.RUNS.value


@dataclass(frozen=True, kw_only=True)
class Reserved:
    """A gang as its nodes tell of it."""

    id: str
    hosts: tuple[str, ...]
    """Host names, the head first."""
    role: str
    """What the head does; empty if the head does not know of it."""
    telling: tuple[str, ...]
    """Those of the hosts that say that they are in it."""
    ready: tuple[str, ...] = ()
    """Those of them that the head waits for, and that say in one and the same account that they are in it and
    that they are empty.
    """

    @property
    def queue(self) -> str:
        """The queue that it was formed for."""
        return queue_of_gang(self.id)

    @property
    def is_alive(self) -> bool:
        """It has a message, or waits for one."""
        return self.role in (WAITS, RUNS)


def reserved(hosts: Iterable[HostSeen]) -> list[Reserved]:
    """Every gang that a host tells of, by name."""
    told: dict[str, dict[str, HostSeen]] = {}
    for host in hosts:
        if host.gang is not None:
            told.setdefault(host.gang.id, {})[host.hostname] = host
    found = []
    for gang_id, members in sorted(told.items()):
        any_gang = next(iter(members.values())).gang
        assert any_gang is not None
        head = members.get(any_gang.hosts[0])
        role = head.gang.role if head is not None and head.gang is not None else ""
        lacks = head.gang.lacks if head is not None and head.gang is not None else ()
        empty = {name for name, host in members.items() if _is_empty(host)}
        found.append(
            Reserved(
                id=gang_id,
                hosts=any_gang.hosts,
                role=role,
                telling=tuple(sorted(members)),
                ready=tuple(name for name in lacks if name in empty),
            )
        )
    return found


def _is_empty(host: HostSeen) -> bool:
    return host.heard_seconds_ago is not None and not (host.running or host.held)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A host that the plan gave work of a gang, and that is free for it."""

    hostname: str
    placement_group: str | None
    is_busy: bool = False
    """It runs something that its gang would have to wait for."""


def orders(
    gangs: Sequence[Reserved],
    *,
    queues: Mapping[str, QueueSeen],
    dead: Collection[str],
    candidates: Mapping[str, Sequence[Candidate]],
) -> Iterator[GangOrder]:
    """What to tell the hosts. `dead`: hosts that are gone or silent; `candidates` by queue."""
    waiting = {name: queue.waiting for name, queue in queues.items()}
    for gang in gangs:
        yield from _upkeep(gang, waiting.get(gang.queue, 0), dead)
        if gang.role == WAITS:
            waiting[gang.queue] = waiting.get(gang.queue, 0) - 1
    for name, free in sorted(candidates.items()):
        queue = queues[name]
        for hosts in _teams(free, queue.node_count, colocated=queue.colocated):
            if waiting.get(name, 0) <= 0:
                break
            waiting[name] -= 1
            yield GangOrder(
                order="form", gang="", queue=name, hosts=hosts, reason="all of its nodes are free"
            )


def _upkeep(gang: Reserved, waiting: int, dead: Collection[str]) -> Iterator[GangOrder]:
    """Gangs whose head is gone, whose task is gone, or that lost a member."""

    def order(what: str, hosts: tuple[str, ...], reason: str) -> GangOrder:
        return GangOrder(order=what, gang=gang.id, queue=gang.queue, hosts=hosts, reason=reason)

    head, lost = gang.hosts[0], [host for host in gang.hosts[1:] if host in dead]
    if head in dead:
        yield order("disband", gang.telling, "its head is gone")
    elif not gang.is_alive:
        yield order("disband", gang.telling, "its task has ended")
    elif gang.role == WAITS and (lost or waiting <= 0):
        reason = f"{lost[0]} is gone" if lost else "nothing waits for it any more"
        yield order("disband", (head, *(h for h in gang.telling if h != head)), reason)
    elif gang.role == WAITS and gang.ready:
        yield order("ready", (head, *gang.ready), "they are empty")
    elif gang.role == RUNS:
        for host in lost:
            yield order("member-lost", (head, host), f"{host} is gone")


def _teams(free: Sequence[Candidate], size: int, *, colocated: bool) -> Iterator[tuple[str, ...]]:
    """Whole teams of this size out of the free hosts, each in one placement group if colocated."""
    groups: dict[str | None, list[str]] = {}
    for candidate in sorted(free, key=lambda c: (c.is_busy, c.placement_group or "", c.hostname)):
        groups.setdefault(candidate.placement_group if colocated else None, []).append(candidate.hostname)
    for group, hosts in sorted(groups.items(), key=lambda item: item[0] or ""):
        if colocated and group is None:
            continue
        for first in range(0, len(hosts) - size + 1, size):
            yield tuple(hosts[first : first + size])
