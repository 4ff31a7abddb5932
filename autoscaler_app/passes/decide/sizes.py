"""What machines of a size really have: learnt from what their workers tell. Pure.

The cloud promises 4 GiB, the workers of such machines tell 3.6. A plan that goes by the promise buys for
tasks that ask for 4, and none of them ever runs there. So what the last machines of a size told holds:

- less, as soon as one of them tells less; a machine that is odd is outvoted when `LAST` younger ones came up;
- more, only if several came up and all of them tell more;
- until the cloud promises something else, or starts them from another image, or nobody has told for `kept`.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from autoscaler_app.passes.snapshot import HostSeen, MachineTold, SizeKnown, TimesSeen
from scalelib.amounts import MEMORY, MEMORY_UNITS, MILLION, InvalidAmount, total
from scalelib.bucket import Bucket
from scalelib.names import folded
from scalelib.node import Node, NodeId
from scalelib.planning.catalogue import promised
from scalelib.policy import Policy

LAST: Final = 5
"""So many machines of a size are remembered: the last that came up."""

AGREED: Final = 2
"""So many have to tell of more before more is believed."""

HEARD_WITHIN: Final = timedelta(hours=1)
"""How exactly it is kept when a machine last told: what does not change is not written in every pass."""

Amounts = dict[str, float]
"""Memory as `memgb`, in whole MiB, which no number with a point makes less of; all else by its name."""


def size_of(nodearray: str, vm_size: str) -> str:
    """How a size of a nodearray is called in what is remembered."""
    return f"{folded(nodearray)}/{folded(vm_size)}"


def learnt(
    before: Mapping[str, SizeKnown],
    *,
    buckets: Iterable[Bucket],
    nodes: Iterable[Node],
    hosts: Mapping[NodeId, HostSeen],
    history: Mapping[str, TimesSeen],
    policy: Policy,
    now: datetime,
    kept: timedelta,
) -> dict[str, SizeKnown]:
    """What is known after this look. `hosts`: those that are heard now, by node."""
    telling: dict[str, list[tuple[datetime, str, HostSeen]]] = {}
    for node in nodes:
        host, times = hosts.get(node.id), history.get(node.id)
        if host is not None and host.total and node.managed and node.is_ready:
            created = now if times is None else times.created
            found = telling.setdefault(size_of(node.nodearray, node.vm_size), [])
            found.append((created, node.id, host))
    known = {}
    for bucket in buckets:
        size = size_of(bucket.nodearray, bucket.vm_size)
        if size not in before and size not in telling:
            continue
        old = _as_promised_now(before.get(size), bucket, policy, now)
        said = [each for each in telling.get(size, ()) if old.since is None or each[0] > old.since]
        machines = _last(old.machines, heapq.nlargest(LAST, said, key=lambda each: each[:2]), now, kept)
        if machines or old.since is not None:
            known[size] = SizeKnown(
                promised=old.promised, image=old.image, since=old.since, machines=machines
            )
    return known


def told(size: SizeKnown) -> Amounts:
    """The amounts that hold in place of what is promised; empty where the promise is kept."""
    found = {}
    for name in {name for machine in size.machines for name in machine.told}:
        said = [machine.told[name] for machine in size.machines if name in machine.told]
        least, promise = min(said), size.promised.get(name, 0.0)
        all_agree = len(said) == len(size.machines) >= AGREED
        if least < promise or (least > promise and all_agree):
            found[name] = least
    return found


def _as_promised_now(before: SizeKnown | None, bucket: Bucket, policy: Policy, now: datetime) -> SizeKnown:
    """What is remembered, unless it is of something else than what is to be had now."""
    promise = _amounts(promised(bucket, None, policy).total)
    if before is None:
        return SizeKnown(promised=promise, image=bucket.image)
    if before.promised != promise or before.image != bucket.image:
        return SizeKnown(promised=promise, image=bucket.image, since=now)
    return before


def _last(
    before: Iterable[MachineTold],
    telling: Iterable[tuple[datetime, str, HostSeen]],
    now: datetime,
    kept: timedelta,
) -> tuple[MachineTold, ...]:
    machines = {machine.node_id: machine for machine in before if now - machine.last <= kept}
    for created, node_id, host in telling:
        said, old = _told_by(host), machines.get(node_id)
        if old is not None:
            said = {name: max(said.get(name, 0), old.told.get(name, 0)) for name in {*said, *old.told}}
            if said == old.told and now - old.last < HEARD_WITHIN:
                continue
            created = old.created
        if said:
            machines[node_id] = MachineTold(node_id=node_id, created=created, last=now, told=said)
    youngest = sorted(machines.values(), key=lambda each: (each.created, each.node_id))[-LAST:]
    return tuple(youngest)


def _told_by(host: HostSeen) -> Amounts:
    try:
        return _amounts(total(host.total))
    except InvalidAmount:
        return {}


def _amounts(counters: Mapping[str, int]) -> Amounts:
    """By names that a constraint may ask for."""
    return {
        "memgb" if name == MEMORY else name: amount // MEMORY_UNITS["memmb"] / 1024
        if name == MEMORY
        else amount / MILLION
        for name, amount in sorted(counters.items())
    }
