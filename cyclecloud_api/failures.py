"""What could not be had lately, and when to try again. Pure: memory in, memory out; time is an argument.

An *offering* is what can be in short supply on its own: nodearray, size, spot or not, placement group. A
failure puts it aside for a window; nothing is launched there before the window is over. Then one gentle
probe, a single node, may go. If it fails, the next window is twice as long; if it gets a machine, the
offering is as good as new. Failures inside a window belong to the failure that opened it: a hundred nodes
that fail together are one piece of news.

An eviction says less: a machine was taken back, and the next one may be had, perhaps in the only offering
that fits. So it opens no window, and the probe may go at once; what it cannot serve goes elsewhere meanwhile.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NewType

from cyclecloud_api.inventory import Inventory
from scalelib.node import Node, NodeId, NodeState

Offering = NewType("Offering", str)

LONGEST_WINDOW = timedelta(hours=1)
"""The server itself forgets a capacity failure after about an hour."""

PROBE_PATIENCE = timedelta(minutes=10)
"""How long the outcome of a probe is waited for before another may go."""

MOST_FAILED_CREATES = 10
"""An hour, per offering."""

SAME_NEWS = timedelta(seconds=60)
"""`lastCapacityFailure` counts seconds on the server's clock: instants this close are the same failure."""

_CAPACITY_WORDS = re.compile(
    r"capacity|allocation ?failed|sku ?not ?available|not available in|overconstrained|"
    r"out of (stock|resources)|insufficient|no machines?|quota",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Backoff:
    """How long the first window is; each failed probe doubles it."""

    capacity: timedelta = timedelta(seconds=300)
    """After a capacity failure. Source: the back-off that public clients use."""
    trouble: timedelta = timedelta(seconds=60)
    """After a create that the server failed or refused."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Episode:
    """An offering in trouble."""

    failures: int
    """Windows in a row, this one included; 0: none yet, a node was evicted."""
    began: datetime
    until: datetime
    """Nothing is launched before."""
    reason: str
    probed: datetime | None = None
    """When a single node was sent after `until`; None if that is still to come."""
    lost_machines: bool = False
    """Nodes got machines and lost them again: so only a node that is up ends it, not one with a machine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """Everything remembered."""

    episodes: Mapping[Offering, Episode] = field(default_factory=dict)
    failed_creates: Mapping[Offering, tuple[datetime, ...]] = field(default_factory=dict)
    """Of the last hour."""
    server_said: Mapping[Offering, datetime] = field(default_factory=dict)
    """The last capacity failure that the server told of."""
    withheld: Mapping[Offering, int] = field(default_factory=dict)
    """Of which the server offers none though no ceiling is reached: in so many looks in a row, 2 at most."""
    booting: Mapping[NodeId, Offering] = field(default_factory=dict)
    """Nodes that wait for a machine: if one vanishes, it did not get it."""
    preparing: Mapping[NodeId, Offering] = field(default_factory=dict)
    """Nodes that have a machine and are not up: if one vanishes, it lost it."""
    spot_up: Mapping[NodeId, Offering] = field(default_factory=dict)
    """Spot nodes that are up: if one vanishes, it was evicted."""
    missing: frozenset[NodeId] = frozenset()
    """Not listed at the last look; gone for good if the next one does not list them either."""
    counted: frozenset[NodeId] = frozenset()
    """Failed nodes whose failure has been counted."""


def offering(
    nodearray: str, vm_size: str, *, spot: bool = False, placement_group: str | None = None
) -> Offering:
    """The name of an offering, for people too."""
    group = f"@{placement_group}" if placement_group else ""
    return Offering(f"{nodearray}/{vm_size}{'/spot' if spot else ''}{group}")


def offering_of(node: Node) -> Offering:
    """The offering that a node was launched from."""
    return offering(node.nodearray, node.vm_size, spot=node.spot, placement_group=node.placement_group)


# -- asking ---------------------------------------------------------------------------------------------


def blocked(memory: Memory, which: Offering, now: datetime) -> str:
    """Why nothing may be launched there now; empty if something may."""
    creates = [at for at in memory.failed_creates.get(which, ()) if now - at < timedelta(hours=1)]
    if len(creates) >= MOST_FAILED_CREATES:
        again = min(creates) + timedelta(hours=1)
        return f"{len(creates)} creates failed within an hour; tried again after {_clock(again)}"
    episode = memory.episodes.get(which)
    if which in memory.withheld and (episode is None or now >= episode.until):
        return _WITHHELD
    if episode is None:
        return ""
    if now < episode.until:
        return f"{episode.reason}; tried again after {_clock(episode.until)}"
    if episode.probed is not None and now < episode.probed + PROBE_PATIENCE:
        return f"{episode.reason}; one node is being tried since {_clock(episode.probed)}"
    return ""


def must_probe(memory: Memory, which: Offering) -> bool:
    """True if the next launch there, once nothing blocks it, has to be a single node."""
    return which in memory.episodes


# -- remembering ----------------------------------------------------------------------------------------


def taken_away(memory: Memory) -> frozenset[NodeId]:
    """Nodes that are missing and never had a machine, or had one on spot: the cloud took them, as it may."""
    return frozenset(i for i in memory.missing if i in memory.booting or i in memory.spot_up)


def failed(
    memory: Memory,
    which: Offering,
    reason: str,
    now: datetime,
    *,
    first_window: timedelta,
    lost_machine: bool = False,
) -> Memory:
    """After a failure of this offering."""
    episode = memory.episodes.get(which)
    if episode is not None and now < episode.until:
        return memory  # the same piece of news
    failures = 1 if episode is None else episode.failures + 1
    window = min(first_window * 2 ** min(failures - 1, 20), LONGEST_WINDOW)
    lost = lost_machine or (episode is not None and episode.lost_machines)
    fresh = Episode(failures=failures, began=now, until=now + window, reason=reason, lost_machines=lost)
    return replace(memory, episodes={**memory.episodes, which: fresh})


def evicted(memory: Memory, which: Offering, now: datetime) -> Memory:
    """After a spot node of this offering was taken back. In an offering in trouble that is no news."""
    if which in memory.episodes:
        return memory
    fresh = Episode(failures=0, began=now, until=now, reason=_EVICTED)
    return replace(memory, episodes={**memory.episodes, which: fresh})


def create_failed(memory: Memory, which: Offering, reason: str, now: datetime, backoff: Backoff) -> Memory:
    """After a create that failed, was refused, or added nothing."""
    recent = [at for at in memory.failed_creates.get(which, ()) if now - at < timedelta(hours=1)]
    counted = replace(
        memory, failed_creates={**memory.failed_creates, which: (*recent[-MOST_FAILED_CREATES:], now)}
    )
    window = backoff.capacity if speaks_of_capacity(reason) else backoff.trouble
    return failed(counted, which, reason, now, first_window=window)


def forgiven(memory: Memory, now: datetime) -> tuple[Memory, list[str]]:
    """Every window is over: one node may be tried; and where that is. A probe under way is waited for.

    What failed so far is kept: if the probe fails too, the next window is as long as it would have been.
    """
    over = {
        which: replace(episode, until=min(episode.until, now)) for which, episode in memory.episodes.items()
    }
    which = {w for w, episode in memory.episodes.items() if episode.until > now} | set(memory.failed_creates)
    return replace(memory, episodes=over, failed_creates={}), sorted(which)


def created(memory: Memory, which: Offering, nodes: Iterable[NodeId], now: datetime) -> Memory:
    """After a create that added nodes; in an offering in trouble, that was the probe."""
    memory = replace(memory, booting={**memory.booting, **dict.fromkeys(nodes, which)})
    episode = memory.episodes.get(which)
    if episode is None:
        return memory
    return replace(memory, episodes={**memory.episodes, which: replace(episode, probed=now)})


def arrived(memory: Memory, which: Offering, since: datetime) -> Memory:
    """After a create that seemed to fail turned out to have added nodes: what it was blamed for is forgiven.

    `since` is when it was written down; what went wrong before stays.
    """
    creates = tuple(at for at in memory.failed_creates.get(which, ()) if at < since)
    episode = memory.episodes.get(which)
    kept = dict(memory.episodes)
    if episode is not None and episode.failures == 1 and episode.began >= since:
        del kept[which]
    return replace(memory, episodes=kept, failed_creates={**memory.failed_creates, which: creates})


def speaks_of_capacity(message: str) -> bool:
    """Whether a message of the server is about machines that cannot be had, not about a bad configuration."""
    return _CAPACITY_WORDS.search(message) is not None


def observe(
    memory: Memory,
    seen: Inventory,
    now: datetime,
    *,
    ended: Collection[NodeId] = (),
    new: Collection[NodeId] = (),
    backoff: Backoff = Backoff(),
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
        if reason == _EVICTED:
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
_EVICTED = "a spot node was evicted"
_WITHHELD = "the server has none available now, though no limit is reached"


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
            yield which, _EVICTED, None


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
            yield which, _WITHHELD, None


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


def _clock(instant: datetime) -> str:
    return f"{instant:%H:%M:%S} UTC"
