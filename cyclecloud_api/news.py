"""What a look at the cloud tells of failures: nodes that failed or vanished, sizes held back. Pure.

`observe` is `failures.Memory` before a look, and after it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from cyclecloud_api.failures import (
    EVICTED,
    LONGEST_WINDOW,
    WITHHELD,
    Backoff,
    Episode,
    Memory,
    Offering,
    evicted,
    failed,
    offering,
    offering_of,
    speaks_of_capacity,
)
from cyclecloud_api.inventory import Inventory
from scalelib.node import Node, NodeId, NodeState

SAME_NEWS = timedelta(seconds=60)
"""`lastCapacityFailure` counts seconds on the server's clock: instants this close are the same failure."""

_USUAL = Backoff()


def observe(
    memory: Memory,
    seen: Inventory,
    now: datetime,
    *,
    ended: Collection[NodeId] = (),
    new: Collection[NodeId] = (),
    backoff: Backoff = _USUAL,
) -> Memory:
    """After a look. `ended` are nodes that we have ended ourselves: their going is no failure. `new` are
    nodes that no look has shown before: they may have got their machine between two looks.
    """
    nodes = {node.id: node for node in seen.cloud.nodes}
    news = [
        *_failed_nodes(memory, nodes.values()),
        *_vanished(memory, nodes, ended),
        *_told_by_the_server(memory, seen, now),
        *_throttled(memory, seen),
    ]
    memory = _healed(memory, nodes.values(), new, now)
    for which, reason, at in news:
        if reason == EVICTED:
            memory = evicted(memory, which, now)
            continue
        memory = failed(
            memory,
            which,
            reason,
            at or now,
            first_window=backoff.capacity,
            lost_machine=reason == _LOST,
        )
    memory = replace(memory, server_said=_server_said(memory, seen, now), withheld=_withheld(memory, seen))
    memory = replace(memory, episodes=_lasting(memory, now))
    return _tidied(_tracked(memory, nodes, ended), now)


# -- the kinds of news ----------------------------------------------------------------------------------

_News = tuple[Offering, str, datetime | None]

_LOST = "a node lost its machine before it was up"


def _failed_nodes(memory: Memory, nodes: Iterable[Node]) -> Iterable[_News]:
    """Nodes that failed for want of a machine. One that failed to configure itself is not among them."""
    for node in nodes:
        if node.state.is_failed and node.id not in memory.counted and lacked_a_machine(node):
            words = f": {node.status_message}" if node.status_message else ""
            yield offering_of(node), f"node {node.name} is {node.status}{words}", None


def lacked_a_machine(node: Node) -> bool:
    """Whether a failed node failed because no machine could be had: nothing is wrong with anything then."""
    if speaks_of_capacity(node.status_message):
        return True
    return node.instance_id is None and (node.state is NodeState.UNAVAILABLE or not node.status_message)


def _vanished(memory: Memory, nodes: Mapping[NodeId, Node], ended: Collection[NodeId]) -> Iterable[_News]:
    for tracked, reason in ((memory.booting, "a node vanished before it was up"), (memory.preparing, _LOST)):
        for node_id, which in tracked.items():
            if node_id in memory.missing and node_id not in nodes and node_id not in ended:
                yield which, reason, None
    for node_id, which in memory.spot_up.items():
        if node_id in ended:
            continue
        node = nodes.get(node_id)
        gone = node is None and node_id in memory.missing
        going = node is not None and (not node.wanted or node.state is NodeState.UNAVAILABLE)
        if gone or going:
            yield which, EVICTED, None


def _told_by_the_server(memory: Memory, seen: Inventory, now: datetime) -> Iterable[_News]:
    for which, at in _capacity_failures(seen, now):
        known = memory.server_said.get(which)
        if known is None or at > known + SAME_NEWS:
            yield which, "the server had a capacity failure for this size", at


def _capacity_failures(seen: Inventory, now: datetime) -> Iterable[tuple[Offering, datetime]]:
    """Offering and instant of each capacity failure of the last hour."""
    for size in seen.sizes.values():
        age = size.status.last_capacity_failure
        if age is not None and 0 <= age < LONGEST_WINDOW.total_seconds():
            yield offering(size.nodearray, size.vm_size, spot=size.spot), now - timedelta(seconds=age)


def _server_said(memory: Memory, seen: Inventory, now: datetime) -> dict[Offering, datetime]:
    said = dict(memory.server_said)
    for which, at in _capacity_failures(seen, now):
        if which not in said or at > said[which] + SAME_NEWS:
            said[which] = at
    return said


def _throttled(memory: Memory, seen: Inventory) -> Iterable[_News]:
    """Sizes that the server began to hold back: one that lasts is one failure, one that comes back another.

    Shown by two looks in a row: while the server creates, what it counts and what it offers may differ.
    """
    for bucket_id in sorted(seen.throttled):
        which = _offering_of_size(seen, bucket_id)
        if memory.withheld.get(which) == 1:
            yield which, WITHHELD, None


def _withheld(memory: Memory, seen: Inventory) -> dict[Offering, int]:
    kinds = [_offering_of_size(seen, bucket_id) for bucket_id in seen.withheld]
    return {which: min(memory.withheld.get(which, 0) + 1, 2) for which in kinds}


def _lasting(memory: Memory, now: datetime) -> dict[Offering, Episode]:
    """What is withheld for longer than its window is still in trouble on the day it is offered again."""
    return {
        which: replace(episode, until=max(episode.until, now)) if which in memory.withheld else episode
        for which, episode in memory.episodes.items()
    }


def _offering_of_size(seen: Inventory, bucket_id: str) -> Offering:
    size = seen.sizes[bucket_id]
    return offering(size.nodearray, size.vm_size, spot=size.spot)


# -- the rest -------------------------------------------------------------------------------------------


def _healed(memory: Memory, nodes: Iterable[Node], new: Collection[NodeId], now: datetime) -> Memory:
    """Without the episodes of offerings where a node has just got its machine, once their window is over.

    Inside the window a machine proves nothing: of a hundred nodes sixty get one while forty fail.
    """
    with_machine, up = set(), set()
    for node in nodes:
        if not node.wanted or node.state not in (NodeState.PREPARING, NodeState.READY):
            continue
        which = memory.booting.get(node.id) or memory.preparing.get(node.id) or offering_of(node)
        if node.id in memory.booting or node.id in new:
            with_machine.add(which)
        if node.is_ready and (node.id in memory.booting or node.id in memory.preparing or node.id in new):
            up.add(which)
    kept = {
        which: episode
        for which, episode in memory.episodes.items()
        if now < episode.until or which not in (up if episode.lost_machines else up | with_machine)
    }
    return memory if len(kept) == len(memory.episodes) else replace(memory, episodes=kept)


def _tracked(memory: Memory, nodes: Mapping[NodeId, Node], ended: Collection[NodeId]) -> Memory:
    """With the nodes to watch at the next look. A node that is missing is kept for one look more."""
    booting = {n.id: offering_of(n) for n in nodes.values() if n.wanted and n.state is NodeState.ACQUIRING}
    preparing = {n.id: offering_of(n) for n in nodes.values() if n.wanted and n.state is NodeState.PREPARING}
    spot_up = {n.id: offering_of(n) for n in nodes.values() if n.spot and n.is_ready}
    missing = set()
    for before, after in (
        (memory.booting, booting),
        (memory.preparing, preparing),
        (memory.spot_up, spot_up),
    ):
        for node_id, which in before.items():
            if node_id not in nodes and node_id not in ended and node_id not in memory.missing:
                missing.add(node_id)
                after[node_id] = which
    return replace(
        memory,
        booting=booting,
        preparing=preparing,
        spot_up=spot_up,
        missing=frozenset(missing),
        counted=frozenset(n.id for n in nodes.values() if n.state.is_failed),
    )


def _tidied(memory: Memory, now: datetime) -> Memory:
    """Without what is too old to matter."""
    hour = timedelta(hours=1)
    creates = {
        which: recent
        for which, instants in memory.failed_creates.items()
        if (recent := tuple(at for at in instants if now - at < hour))
    }
    return replace(
        memory,
        episodes={w: e for w, e in memory.episodes.items() if now - (e.probed or e.until) < hour},
        failed_creates=creates,
        server_said={w: at for w, at in memory.server_said.items() if now - at < 2 * hour},
    )
