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

from scalelib.node import Node, NodeId

Offering = NewType("Offering", str)

LONGEST_WINDOW = timedelta(hours=1)
"""The server itself forgets a capacity failure after about an hour."""

PROBE_PATIENCE = timedelta(minutes=10)
"""How long the outcome of a probe is waited for before another may go."""

MOST_FAILED_CREATES = 10
"""An hour, per offering."""

EVICTED = "a spot node was evicted"
WITHHELD = "the server has none available now, though no limit is reached"

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
        return WITHHELD
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


def is_one_missing(memory: Memory, which: Collection[Offering]) -> bool:
    """Whether a node that boots there was not listed at the last look. A list may be older than our creates,
    so nothing is bought in its place before a second one lacks it too.
    """
    coming = {**memory.booting, **memory.preparing}
    return any(coming.get(node_id) in which for node_id in memory.missing)


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
    fresh = Episode(failures=0, began=now, until=now, reason=EVICTED)
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


def _clock(instant: datetime) -> str:
    return f"{instant:%H:%M:%S} UTC"
