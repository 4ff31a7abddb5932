"""What runs already, and where: it takes its part of the node, and never asks for another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from scalelib.constraints.alternatives import Alternative, Sharing, alternatives
from scalelib.hostnames import short_name
from scalelib.job import Job
from scalelib.node import NodeId


@dataclass(eq=False, kw_only=True, slots=True)
class Load:
    """What runs on one node."""

    jobs: dict[str, int] = field(default_factory=dict)
    """Slots by job."""
    taken: dict[str, int] = field(default_factory=dict)
    """Amounts, per counter."""
    sharing: Sharing = Sharing.ANYBODY
    """Not ANYBODY: an exclusive job has the node."""
    parts: list[tuple[Job, int]] = field(default_factory=list)
    """(job, slots of it here)."""


def loads_of(
    jobs: Iterable[Job], hosts: Mapping[str, NodeId], total: Mapping[NodeId, Mapping[str, int]]
) -> dict[NodeId, Load]:
    """What runs on each node. `total`: what each node has, to tell which branch of an `or` runs there."""
    loads: dict[NodeId, Load] = {}
    ways: dict[int, tuple[Alternative, ...]] = {}
    for job in jobs:
        if id(job.constraints) not in ways:
            ways[id(job.constraints)] = alternatives(job.constraints)
        for node_id, slots in _spread(job, hosts):
            load = loads.setdefault(node_id, Load())
            way = _way(ways[id(job.constraints)], total.get(node_id, {}))
            load.jobs[job.name] = load.jobs.get(job.name, 0) + slots
            load.parts.append((job, slots))
            load.sharing = max(load.sharing, Sharing.NOBODY if job.exclusive else way.sharing)
            for counter, amount in way.needs.items():
                load.taken[counter] = load.taken.get(counter, 0) + amount * slots
    return loads


def _spread(job: Job, hosts: Mapping[str, NodeId]) -> Iterable[tuple[NodeId, int]]:
    """(node, slots there): a gang has one on each of its hosts; single slots are dealt out in turn.

    Every host that is named has one at least: it is never idle, whatever the job says of its slots.
    """
    names: Sequence[str] = job.executing_hostnames
    slots: dict[NodeId, int] = {}
    for i, name in enumerate(names):
        count = max(job.iterations // len(names) + (i < job.iterations % len(names)), 1)
        if job.node_count > 1:
            count = job.iterations
        node_id = hosts.get(short_name(name))
        if node_id is not None:
            slots[node_id] = slots.get(node_id, 0) + count
    return slots.items()


def _way(ways: Sequence[Alternative], total: Mapping[str, int]) -> Alternative:
    """The branch that runs there: the first that the node could hold."""
    for way in ways:
        if all(amount <= total.get(counter, 0) for counter, amount in way.needs.items()):
            return way
    return ways[0]
