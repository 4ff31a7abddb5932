"""Machines that were bought for some work, came up, and never ran any of it: they stop being bought. Pure.

Whatever the cause is (the worker does not start, does not join, does not consume the queue, refuses the
tasks; the tasks are gone before it is up), it is not known here, and buying again does not mend it. So each
machine is followed from when it is first seen until it runs something. One that is lost before that was
bought in vain. If that is so of most of those that were bought together for a kind of work, then of that kind

- one slot at a time is tried, at once after the first time, after a pause that doubles from the second on;
- from the `futile_times`-th on, one every `futile_retry`;
- until a machine that was bought for it runs some of it, or what it asks for changes, or nobody has asked for
  it for `futile_retry`.

What runs elsewhere runs on; machines that are there may take it all the time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec

from autoscaler_app.passes.decide.gangs import RUNS, Reserved
from autoscaler_app.passes.snapshot import BoughtFor, HostSeen, InVain, QueueSeen, Snapshot
from autoscaler_app.settings import Autoscaler
from scalelib.node import Node, NodeId, NodeState

MOST_TOLD: Final = 3
"""Machines that are named in a reason."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What has become of machines that were bought, to be remembered."""

    bought: dict[str, BoughtFor]
    """By node id: those that have not run anything yet."""
    vain: dict[str, InVain]
    """By queue: for what machines were bought in vain."""


def tried(
    snapshot: Snapshot,
    nodes: Iterable[Node],
    hosts: Mapping[NodeId, HostSeen],
    gangs: Iterable[Reserved],
    lost: Mapping[NodeId, str],
    settings: Autoscaler,
) -> Tried:
    """What is known after this look. `lost`: nodes that take no work any more, each with why."""
    queues, now = {queue.queue: queue for queue in snapshot.queues}, snapshot.now
    there = {str(node.id): node for node in nodes}
    ran = _ran(snapshot, there, hosts, gangs)
    vain = {
        name: _as_asked_now(each, queues[name], now, settings)
        for name, each in snapshot.learnt.vain.items()
        if name in queues and _stands(each, queues[name], now, settings)
    }
    followed = {**snapshot.learnt.bought, **_new(snapshot, there.values(), queues, now)}
    served: list[tuple[str, BoughtFor]] = []
    fallen: list[tuple[BoughtFor, str]] = []
    still: dict[str, BoughtFor] = {}
    for node_id, bought in sorted(followed.items()):
        node = there.get(node_id)
        why = "it is gone" if node is None else lost.get(node.id, "")
        bought = _as_seen_now(bought, node, why, snapshot, queues)
        if here := ran.get(node_id):
            served += [(queue, bought) for queue in here & set(bought.queues)]
            continue
        if why and not bought.fell and bought.had_a_machine:
            fallen.append((bought, why))
        if node is not None:
            still[node_id] = msgspec.structs.replace(bought, fell=bought.fell or bool(why))
    good = Counter((queue, bought.at) for queue, bought in served)
    bad = Counter((queue, bought.at) for bought, _ in fallen for queue in bought.queues)
    for queue, _ in served:
        vain.pop(queue, None)
    for bought, why in fallen:
        bought = _counted(bought, good, bad)
        for name in bought.queues:
            ran_of_it, fell = bought.mates.get(name, (0, 0))
            if name in queues and fell > ran_of_it and not _was_done_by_others(queues[name], bought, now):
                vain[name] = _worse(vain.get(name), queues[name], bought, why, now, settings)
    return Tried(bought={i: _counted(each, good, bad) for i, each in still.items()}, vain=vain)


def slots_tried(vain: InVain | None, now: datetime) -> int | None:
    """How many slots may be planned for work that was bought for in vain; None: as many as there are."""
    if vain is None:
        return None
    return 0 if now < vain.until else 1


def told(vain: InVain, now: datetime) -> str:
    """Why nothing is bought for such work, for people."""
    times = "once" if vain.times == 1 else f"{vain.times} times"
    then = (
        f"one is tried again after {vain.until:%H:%M:%S} UTC"
        if now < vain.until
        else "one is being tried now"
    )
    return (
        f"machines were bought for it {times} in a row ({vain.machines} in all) and ran none of it: "
        f"{'; '.join(vain.tried)}. See the log of such a machine's worker, and if it consumes the queue; "
        f"{then}, and all again as soon as a new one runs some of it"
    )


def why_lost(node: Node, host: HostSeen | None, *, is_hungry: bool) -> str:
    """Why a node takes no work any more, for people."""
    if node.state.is_failed:
        return f"the cloud says {node.status!r}" + (f": {node.status_message}" if node.status_message else "")
    if not node.wanted or node.state.is_leaving:
        return "it was ended" if host is not None else "it was ended, and its worker was never heard"
    if host is None:
        return "it did not come up in time"
    if is_hungry:
        return "its worker had room and started none of it"
    return "the cloud took it back" if host.evicted else "its worker told nothing any more"


# -- the parts


def _ran(
    snapshot: Snapshot, there: Mapping[str, Node], hosts: Mapping[NodeId, HostSeen], gangs: Iterable[Reserved]
) -> dict[str, set[str]]:
    """By node id: the queues of what it runs or has run; an empty name where that is not known."""
    by_host: dict[str, set[str]] = {}
    for job in snapshot.jobs:
        for hostname in job.executing_hostnames if job.so_far else ():
            by_host.setdefault(hostname, set()).add(job.queue)
    for gang in gangs:
        for hostname in gang.hosts if gang.role == RUNS else ():
            by_host.setdefault(hostname, set()).add(gang.queue)
    found = {}
    for node_id, node in there.items():
        host = hosts.get(node.id)
        if host is not None:
            queues = by_host.get(host.hostname, set()).union(host.ran, [""] if host.running else [])
            if queues:
                found[node_id] = queues
    return found


def _new(
    snapshot: Snapshot, nodes: Iterable[Node], queues: Collection[str], now: datetime
) -> dict[str, BoughtFor]:
    """Machines that are seen for the first time, and that a plan bought for a queue."""
    found = {}
    for node in nodes:
        meant = tuple(sorted(name for name in snapshot.meant.get(node.id, ()) if name in queues))
        if (
            meant
            and node.managed
            and node.id not in snapshot.learnt.bought
            and node.id not in snapshot.history
        ):
            size = f"{node.nodearray}/{node.vm_size}"
            found[str(node.id)] = BoughtFor(
                name=node.name, size=size, bucket=node.bucket_id, at=now, queues=meant
            )
    return found


_WITH_A_MACHINE = (NodeState.PREPARING, NodeState.READY)


def _as_seen_now(
    bought: BoughtFor, node: Node | None, why: str, snapshot: Snapshot, queues: Collection[str]
) -> BoughtFor:
    """For what it is meant by now, and whether it has a machine: what could not be had costs nothing, and is
    the failure memory's business.
    """
    if node is None:
        return bought
    meant = tuple(sorted(name for name in snapshot.meant.get(node.id, ()) if name in queues))
    failed_with_one = node.state is NodeState.FAILED and bought.bucket not in snapshot.set_aside
    return msgspec.structs.replace(
        bought,
        queues=bought.queues if why else meant or bought.queues,
        had_a_machine=bought.had_a_machine or node.state in _WITH_A_MACHINE or failed_with_one,
    )


def _counted(
    bought: BoughtFor, good: Mapping[tuple[str, datetime], int], bad: Mapping[tuple[str, datetime], int]
) -> BoughtFor:
    """With what became of those that were bought with it."""
    mates = dict(bought.mates)
    for name in bought.queues:
        before, key = mates.get(name, (0, 0)), (name, bought.at)
        now_so = (before[0] + good.get(key, 0), before[1] + bad.get(key, 0))
        if now_so != (0, 0):
            mates[name] = now_so
    return msgspec.structs.replace(bought, mates=mates)


def _was_done_by_others(queue: QueueSeen, bought: BoughtFor, now: datetime) -> bool:
    """Nothing is left to do, and somebody has done it: then the machine came too late, and no more."""
    ran_since = (
        queue.ran_seconds_ago is not None and now - timedelta(seconds=queue.ran_seconds_ago) >= bought.at
    )
    return not (queue.waiting or queue.due) and (queue.running > 0 or ran_since)


def _worse(
    before: InVain | None, queue: QueueSeen, bought: BoughtFor, why: str, now: datetime, settings: Autoscaler
) -> InVain:
    """After one more machine that was bought in vain. What was bought before the last of them fell belongs
    to the same news: a hundred that fall one after the other are one failure.
    """
    one = f"{bought.name} ({bought.size}): {why}"
    if before is None:
        return InVain(asks=_asks(queue), times=1, machines=1, last=now, until=now, asked=now, tried=(one,))
    tried = (*before.tried, one)[-MOST_TOLD:]
    if bought.at <= before.last:
        return msgspec.structs.replace(before, machines=before.machines + 1, tried=tried)
    times = before.times + 1
    retry = timedelta(seconds=settings.futile_retry)
    pause = min(timedelta(seconds=settings.futile_backoff) * 2 ** min(times - 2, 20), retry)
    until = now + (retry if times >= settings.futile_times else pause)
    return msgspec.structs.replace(
        before, times=times, machines=before.machines + 1, last=now, until=until, tried=tried
    )


def _asks(queue: QueueSeen) -> str:
    """What its tasks need, to be compared."""
    asks = [queue.constraints, queue.node_count, queue.colocated, queue.exclusive]
    return msgspec.json.encode(asks, order="sorted").decode()


def _stands(vain: InVain, queue: QueueSeen, now: datetime, settings: Autoscaler) -> bool:
    asked_lately = now - vain.asked <= timedelta(seconds=settings.futile_retry)
    return vain.asks == _asks(queue) and (_is_asked_for(queue) or asked_lately)


def _is_asked_for(queue: QueueSeen) -> bool:
    return bool(queue.waiting or queue.due)


def _as_asked_now(vain: InVain, queue: QueueSeen, now: datetime, settings: Autoscaler) -> InVain:
    """Nothing is further away than it may be: a clock that was set back must not make a pause of years."""
    return msgspec.structs.replace(
        vain,
        last=min(vain.last, now),
        until=min(vain.until, now + timedelta(seconds=settings.futile_retry)),
        asked=now if _is_asked_for(queue) else min(vain.asked, now),
    )
