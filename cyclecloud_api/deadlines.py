"""Every state of a node has a deadline, and something that is done when it has passed. Pure.

    state                              deadline            then
    Acquiring, Preparing               boot                report it: a pass ends it, unless work is there
    Failed, Unavailable                clean-up            the same: the server had its chance to do so itself
    Terminating, Stopping              leave               end it again
    up, but not wanted                 leave               the same if we ended it; else report it
    Unknown                            doubt               report it

A report is a warning of the look; what is to be ended again is so by whoever makes passes (`still_there`).
What the workers of a node say is their control side's business, and nodes that are not listed any more are
forgotten at the second look. `tick` keeps the clocks, one per node, from look to look; `overdue` compares
them with the deadlines.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from scalelib.node import Node, NodeId, NodeState


class Remedy(Enum):
    """What is to be done about a node that is late."""

    END_AGAIN = "end-again"
    REPORT = "report"


class Lateness(Enum):
    """Why a node is late; the words of reports."""

    BOOT = "boot-timeout"
    FAILED = "failed"
    LEAVING = "terminating-too-long"
    UNKNOWN = "unknown-state"


@dataclass(frozen=True, kw_only=True, slots=True)
class Deadlines:
    """How long each state may last."""

    boot: timedelta = timedelta(seconds=1800)
    clean_up: timedelta = timedelta(seconds=120)
    leave: timedelta = timedelta(seconds=1800)
    doubt: timedelta = timedelta(seconds=600)


class Stage(Enum):
    """States that share a deadline."""

    BOOTING = "booting"
    UP = "up"
    FAILED = "failed"
    LEAVING = "leaving"
    RESTING = "resting"
    """Off, deallocated, terminated: may last for ever."""
    UNKNOWN = "unknown"
    MISSING = "missing"
    """Not listed at the last look."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeClock:
    """Since when a node is in its stage."""

    name: str
    stage: Stage
    since: datetime
    looks: int = 1
    """Looks that missed it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Late:
    """A node past its deadline."""

    id: NodeId
    name: str
    why: Lateness
    remedy: Remedy
    since: datetime
    detail: str


Clocks = Mapping[NodeId, NodeClock]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rule:
    why: Lateness
    remedy: Remedy
    limit: timedelta
    what: str


def stage_of(node: Node) -> Stage:
    """The stage that a node is in. What is not wanted any more is leaving, whatever its state says."""
    if node.state in (NodeState.OFF, NodeState.DEALLOCATED, NodeState.TERMINATED):
        return Stage.BOOTING if node.wanted else Stage.RESTING
    if node.state.is_leaving or (not node.wanted and not node.state.is_failed):
        return Stage.LEAVING
    if node.state.is_failed:
        return Stage.FAILED
    if node.state.is_booting:
        return Stage.BOOTING
    return Stage.UP if node.state is NodeState.READY else Stage.UNKNOWN


def tick(clocks: Clocks, nodes: Iterable[Node], now: datetime, *, ended: Collection[NodeId] = ()) -> Clocks:
    """The clocks after a look. A node that is missing is kept until it was missing twice.

    `ended` are nodes that we have ended: their going is no vanishing.
    """
    found: dict[NodeId, NodeClock] = {}
    for node in nodes:
        found[node.id] = _moved(clocks.get(node.id), node.name, stage_of(node), now)
    for node_id, clock in clocks.items():
        # The server itself cleans up what failed; what was to go has gone.
        leaving = clock.stage in (Stage.LEAVING, Stage.RESTING, Stage.FAILED) or node_id in ended
        seen_missing_before = clock.stage is Stage.MISSING and clock.looks >= 2
        if node_id not in found and not leaving and not seen_missing_before:
            found[node_id] = _moved(clock, clock.name, Stage.MISSING, now)
    return found


def _moved(before: NodeClock | None, name: str, stage: Stage, now: datetime) -> NodeClock:
    if before is None or before.stage is not stage:
        return NodeClock(name=name, stage=stage, since=now)
    # Counted only where it matters: what does not change need not be written down again at each look.
    return replace(before, looks=before.looks + 1) if stage is Stage.MISSING else before


def overdue(
    clocks: Clocks,
    nodes: Iterable[Node],
    now: datetime,
    *,
    limits: Deadlines = Deadlines(),
    ended: Collection[NodeId] = (),
) -> tuple[Late, ...]:
    """Nodes past a deadline, by name. `ended` are nodes that we have ended.

    Nodes with KeepAlive, and nodes that are not ours, are only ever reported.
    """
    listed = {node.id: node for node in nodes}
    late = []
    for node_id, clock in clocks.items():
        node, rule = listed.get(node_id), _rule(clock.stage, limits)
        if node is None or rule is None or now - clock.since < rule.limit:
            continue
        if clock.stage is Stage.LEAVING and not (node.state.is_leaving or node_id in ended):
            # A record without a TargetState looks like this too, for ever, and work may run there.
            rule = replace(rule, remedy=Remedy.REPORT, what="not wanted by the server, and still up")
        late.append(_late(node_id, clock, rule, now, protected=node.keep_alive or not node.managed))
    return tuple(sorted(late, key=lambda one: (one.name, one.id)))


def _rule(stage: Stage, limits: Deadlines) -> _Rule | None:
    match stage:
        case Stage.BOOTING:
            return _Rule(why=Lateness.BOOT, remedy=Remedy.REPORT, limit=limits.boot, what="booting")
        case Stage.FAILED:
            return _Rule(why=Lateness.FAILED, remedy=Remedy.REPORT, limit=limits.clean_up, what="failed")
        case Stage.LEAVING:
            what = "on its way out"
            return _Rule(why=Lateness.LEAVING, remedy=Remedy.END_AGAIN, limit=limits.leave, what=what)
        case Stage.UNKNOWN:
            what = "in an unknown state"
            return _Rule(why=Lateness.UNKNOWN, remedy=Remedy.REPORT, limit=limits.doubt, what=what)
        case _:
            return None


def _late(node_id: NodeId, clock: NodeClock, rule: _Rule, now: datetime, *, protected: bool) -> Late:
    detail = f"{rule.what} for {(now - clock.since).total_seconds():.0f} s"
    if protected:
        detail += "; protected, so it is left alone"
    return Late(
        id=node_id,
        name=clock.name,
        why=rule.why,
        remedy=Remedy.REPORT if protected else rule.remedy,
        since=clock.since,
        detail=detail,
    )
