"""Every state of a node has a deadline, and something that is done when it has passed. Pure.

    state                              deadline            then
    Acquiring, Preparing               boot                end it: it will not come up any more
    Failed, Unavailable                clean-up            end it: the server had its chance to do so itself
    Ready, no worker was ever heard    join                end it: nothing can be running there
    Ready, worker fell silent          silence             report it: silence never means idle
    Ready, heard, does not eat         hunger              join it again: its queues may have got lost
    Terminating, Stopping              leave               end it again, and report
    up, but not wanted                 leave               the same if we ended it; else report it
    Unknown                            doubt               report it
    not listed any more                two looks           forget it, and give back what it held

`tick` keeps the clocks, one per node, from look to look; `overdue` compares them with the deadlines.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from scalelib.node import Node, NodeId, NodeState


class Remedy(Enum):
    """What is to be done about a node that is late."""

    END = "end"
    END_AGAIN = "end-again"
    JOIN = "join"
    REPORT = "report"
    FORGET = "forget"


class Lateness(Enum):
    """Why a node is late; the words of reports."""

    BOOT = "boot-timeout"
    FAILED = "failed"
    NEVER_JOINED = "never-joined"
    SILENT = "silent"
    NOT_EATING = "not-eating"
    LEAVING = "terminating-too-long"
    UNKNOWN = "unknown-state"
    VANISHED = "vanished"


@dataclass(frozen=True, kw_only=True, slots=True)
class Deadlines:
    """How long each state may last."""

    boot: timedelta = timedelta(seconds=1800)
    clean_up: timedelta = timedelta(seconds=120)
    join: timedelta = timedelta(seconds=180)
    silence: timedelta = timedelta(seconds=120)
    hunger: timedelta = timedelta(seconds=120)
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
class Signs:
    """What is heard of a node's worker."""

    heard: datetime | None = None
    """Last sign of life; None if there never was one."""
    hungry_since: datetime | None = None
    """Since when it has room, its queues have work, and it starts nothing; None if not so."""


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
    signs: Mapping[NodeId, Signs] | None = None,
    limits: Deadlines = Deadlines(),
    ended: Collection[NodeId] = (),
) -> tuple[Late, ...]:
    """Nodes past a deadline, by name. `signs` None: nobody listens, so nothing is said about workers.

    `ended` are nodes that we have ended. Nodes with KeepAlive, and nodes that are not ours, are only ever
    reported.
    """
    listed = {node.id: node for node in nodes}
    late = []
    for node_id, clock in clocks.items():
        node = listed.get(node_id)
        if clock.stage is Stage.MISSING:
            if clock.looks >= 2:
                late.append(_late(node_id, clock, _VANISHED, now))
            continue
        if node is None:
            continue
        rules = _rules(clock.stage, limits)
        if clock.stage is Stage.LEAVING and not (node.state.is_leaving or node_id in ended):
            # A record without a TargetState looks like this too, for ever, and work may run there.
            rules = (replace(rules[0], remedy=Remedy.REPORT, what="not wanted by the server, and still up"),)
        if clock.stage is Stage.UP and signs is not None:
            rules = _rules_of_worker(clock, signs.get(node_id, Signs()), limits, now)
        for rule in rules:
            if now - clock.since >= rule.limit:
                late.append(_late(node_id, clock, rule, now, protected=node.keep_alive or not node.managed))
                break
    return tuple(sorted(late, key=lambda one: (one.name, one.id)))


_VANISHED = _Rule(
    why=Lateness.VANISHED, remedy=Remedy.FORGET, limit=timedelta(0), what="not listed by the server any more"
)


def _rules(stage: Stage, limits: Deadlines) -> tuple[_Rule, ...]:
    match stage:
        case Stage.BOOTING:
            return (_Rule(why=Lateness.BOOT, remedy=Remedy.END, limit=limits.boot, what="booting"),)
        case Stage.FAILED:
            return (_Rule(why=Lateness.FAILED, remedy=Remedy.END, limit=limits.clean_up, what="failed"),)
        case Stage.LEAVING:
            return (
                _Rule(
                    why=Lateness.LEAVING, remedy=Remedy.END_AGAIN, limit=limits.leave, what="on its way out"
                ),
            )
        case Stage.UNKNOWN:
            return (
                _Rule(
                    why=Lateness.UNKNOWN, remedy=Remedy.REPORT, limit=limits.doubt, what="in an unknown state"
                ),
            )
        case _:
            return ()


def _rules_of_worker(clock: NodeClock, sign: Signs, limits: Deadlines, now: datetime) -> tuple[_Rule, ...]:
    """A node that is up is measured by its worker, whose own instants decide; the clock is the floor."""
    if sign.heard is None:
        what = "up, and its worker was never heard"
        return (_Rule(why=Lateness.NEVER_JOINED, remedy=Remedy.END, limit=limits.join, what=what),)
    if now - sign.heard >= limits.silence:
        what = f"up, and its worker was last heard {_seconds(now - sign.heard)} ago"
        return (_Rule(why=Lateness.SILENT, remedy=Remedy.REPORT, limit=timedelta(0), what=what),)
    if sign.hungry_since is not None and now - sign.hungry_since >= limits.hunger:
        what = f"up, and has started nothing for {_seconds(now - sign.hungry_since)} though there is work"
        return (_Rule(why=Lateness.NOT_EATING, remedy=Remedy.JOIN, limit=timedelta(0), what=what),)
    return ()


def _late(node_id: NodeId, clock: NodeClock, rule: _Rule, now: datetime, *, protected: bool = False) -> Late:
    detail = f"{rule.what} for {_seconds(now - clock.since)}"
    if protected and rule.remedy in (Remedy.END, Remedy.END_AGAIN):
        return Late(
            id=node_id,
            name=clock.name,
            why=rule.why,
            remedy=Remedy.REPORT,
            since=clock.since,
            detail=f"{detail}; protected, so it is left alone",
        )
    return Late(
        id=node_id, name=clock.name, why=rule.why, remedy=rule.remedy, since=clock.since, detail=detail
    )


def _seconds(duration: timedelta) -> str:
    return f"{duration.total_seconds():.0f} s"
