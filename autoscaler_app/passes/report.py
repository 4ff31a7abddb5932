"""What a pass saw, decided and did: one record that log, journal, command line and pages all read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from autoscaler_app.memory.stories.budget import Spending
from autoscaler_app.passes.plan import KeepReason, Plan

ActionKind = Literal[
    "settle", "restore", "unfence", "join", "launch", "fence", "shut-down", "delete", "gang", "sweep"
]


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was done to the world, or was tried."""

    kind: ActionKind
    target: str
    ok: bool
    detail: str = ""
    count: int = 1
    """How many nodes, or messages, it was."""


class QueueSaw(msgspec.Struct, frozen=True, kw_only=True):
    """One queue, as the pass saw it."""

    queue: str
    waiting: int
    running: int
    held: int = 0
    oldest_seconds: float | None = None
    slots: int | None = None
    """How many slots its waiting tasks are worth; None: the pass did not come to that."""
    run_seconds: float | None = None
    """How long one of its tasks runs, on average; None: not known."""


class NodeSaw(msgspec.Struct, frozen=True, kw_only=True):
    """One node, as the pass saw it."""

    node: str
    node_id: str
    hostname: str
    vm_size: str
    nodearray: str
    state: str
    running: int = 0
    held: int = 0
    fenced: bool = False
    heard_seconds_ago: float | None = None
    price_per_hour: float = 0.0


class BucketSaw(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of machine, as the pass saw it."""

    nodearray: str
    vm_size: str
    spot: bool = False
    cores: int = 0
    """Of one machine."""
    price_per_hour: float = 0.0
    is_estimated: bool = False
    """No price is given, and that is an estimate."""
    left: int | None = None
    """How many more may be had; None: nothing limits that."""
    limit: str = ""
    """The ceiling that leaves no more."""
    set_aside: bool = False
    nodes: dict[str, int] = {}
    """How many there are, by where they are: one of `PHASES`."""

    @property
    def name(self) -> str:
        """As reports, plans and metrics call it."""
        return bucket_name(self.nodearray, self.vm_size, self.spot)


PHASES = ("booting", "ready", "failed", "leaving")


def bucket_name(nodearray: str, vm_size: str, spot: bool) -> str:
    """A kind of machine, in one word."""
    return f"{nodearray}/{vm_size}{'/spot' if spot else ''}"


class DrainSaw(msgspec.Struct, frozen=True, kw_only=True):
    """One node on its way out, as the pass saw it."""

    node: str
    stage: str
    seconds: float
    """Since it was chosen."""
    is_stuck: bool
    """That is longer than `drain_timeout`."""


class Hearing(msgspec.Struct, frozen=True, kw_only=True):
    """What the listener heard since the control worker was started, and what it lost."""

    connected: bool
    """Whether it hears now."""
    connections: int
    """How often it has connected; what was said between two connections was not heard."""
    lag_seconds: float | None
    """How long its own last echo took to come back; None before the first."""
    workers: int
    """Workers that are known."""
    coming: int
    """Tasks that are known to be for later."""
    events: int
    rejected: int
    """Events that could not be understood."""
    dropped: int
    """Facts that had no room any more."""
    evicted: int
    """Sent tasks whose queue was forgotten to make room: their run times are not counted."""
    gaps: int
    """Accounts of workers that never arrived."""
    stale: int
    """Accounts that arrived after a newer one."""


class Saw(msgspec.Struct, frozen=True, kw_only=True):
    """The world in short."""

    cluster_state: str = ""
    queues: tuple[QueueSaw, ...] = ()
    nodes: tuple[NodeSaw, ...] = ()
    warnings: tuple[str, ...] = ()
    buckets: tuple[BucketSaw, ...] = ()
    drains: tuple[DrainSaw, ...] = ()
    budgets: tuple[Spending, ...] = ()
    """How those stand that the settings name."""
    hold: str = ""
    """Why nothing may be ended now (the circuit breaker is open); empty if nothing stands against it."""
    unaccounted: int | None = None
    """Unacknowledged messages that no worker tells of; None where the broker does not say."""
    hearing: Hearing | None = None
    """None: a pass of a command, where nobody listens."""


class Shadow(msgspec.Struct, frozen=True, kw_only=True):
    """What passes would have done that do nothing, added up beside what is."""

    since: datetime
    until: datetime
    """Until when money is added up."""
    launched: int = 0
    ended: int = 0
    cost: float = 0.0
    cost_is: float = 0.0
    """Of what was really there."""
    per_hour: float = 0.0
    per_hour_is: float = 0.0
    wanted: dict[str, int] = {}
    """By `<nodearray>/<vm_size>`: nodes that it would launch now."""
    going: tuple[str, ...] = ()
    """Ids of nodes that it would let go now."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One pass."""

    number: int = 0
    """Its place in the journal; 0 until it is written."""
    started: datetime
    asked_by: str = ""
    """Who asked for it, one of `autoscaler_app.schedule.WHO`; empty: not known."""
    seconds: float = 0.0
    ok: bool = True
    error: str = ""
    """What went wrong and what to do next; empty if nothing did."""
    saw: Saw | None = None
    """None: the pass failed before it had seen everything."""
    plan: Plan | None = None
    actions: tuple[Action, ...] = ()
    again: bool = False
    """There is more to do at once."""
    said: str = ""
    """Its summary, of a pass of long ago of which only what was done is kept: no sight, no kept node."""
    shadow: Shadow | None = None
    """Nothing was done, and this would have been; None: the pass was made in earnest."""


def summary(report: Report) -> str:
    """One line for the log."""
    if report.said:
        return report.said
    if report.plan is None:
        return f"pass failed: {report.error}"
    plan, done = report.plan, [action for action in report.actions if action.ok]
    waiting = sum(queue.waiting for queue in report.saw.queues) if report.saw else 0
    running = sum(queue.running for queue in report.saw.queues) if report.saw else 0
    did = ", ".join(
        [
            *(text for kind in _IN_SUMMARY if (text := _counted(kind, done))),
            *(f"{reason.value} {count}" for reason, count in _stopped(plan).items() if count),
        ]
    )
    launched = sum(launch.count for launch in plan.launch)
    parts = [
        f"waiting {waiting}",
        f"running {running}",
        f"nodes {len(report.saw.nodes) if report.saw else 0}",
        f"wanted new {launched}",
        f"unserved {sum(unserved.count for unserved in plan.unserved)}",
        did or ("in the shadow: nothing done" if report.shadow else "nothing to do"),
        f"{report.seconds:.2f} s",
    ]
    failed = [f"{action.kind} {action.target}: {action.detail}" for action in report.actions if not action.ok]
    return "; ".join(parts + [f"FAILED {text}" for text in failed] + ([report.error] if report.error else []))


WHO = {
    "beat": "beat",
    "news": "new work, or a node that came up",
    "again": "the pass before, which had more to do",
    "line": "the control worker, as so much stands in the control queue",
    "call": "a call of autoscale.delay()",
    "run": "a person, by the command run",
}
"""Who asked for a pass, for people; docs/commands.md says more."""


def changes(made: Report, before: Report | None) -> list[str] | None:
    """What a pass saw otherwise than the one before it, a sentence each; None: one of the two is not in the
    journal any more, or did not see the cluster.
    """
    if before is None or made.saw is None or before.saw is None:
        return None
    lines = list(_differences(made.saw, before.saw))
    if made.plan is not None and before.plan is not None:
        now, then = made.plan.price_per_hour.before, before.plan.price_per_hour.before
        if f"{now:.3f}" != f"{then:.3f}":
            lines.append(f"price per hour {then:.3f} → {now:.3f}")
    return lines


def _differences(now: Saw, then: Saw) -> Iterator[str]:
    queues_then = {queue.queue: queue for queue in then.queues}
    for queue in now.queues:
        old = queues_then.get(queue.queue)
        for what in ("waiting", "running"):
            was, is_now = getattr(old, what, 0), getattr(queue, what)
            if was != is_now:
                yield f"{queue.queue}: {what} {was:,} → {is_now:,}"
    nodes_then = {node.node_id: node for node in then.nodes}
    for node in now.nodes:
        known = nodes_then.pop(node.node_id, None)
        if known is None:
            yield f"{node.node} is there: {node.state}"
        elif known.state != node.state:
            yield f"{node.node}: {known.state} → {node.state}"
        elif known.fenced != node.fenced:
            yield f"{node.node} {'takes no more work' if node.fenced else 'takes work again'}"
    yield from (f"{node.node} is gone; it was {node.state}" for node in nodes_then.values())


def facts(report: Report) -> dict[str, Any]:
    """What a log line says of a pass besides its sentence."""
    saw, plan = report.saw, report.plan
    done = Counter[str]()
    for action in report.actions:
        done[action.kind if action.ok else f"failed {action.kind}"] += action.count
    return {
        "action": "pass",
        "pass": report.number,
        "asked_by": report.asked_by,
        "seconds": round(report.seconds, 3),
        "ok": report.ok,
        "error": report.error,
        "waiting": sum(queue.waiting for queue in saw.queues) if saw else None,
        "running": sum(queue.running for queue in saw.queues) if saw else None,
        "nodes": len(saw.nodes) if saw else None,
        "unserved": sum(entry.count for entry in plan.unserved) if plan else None,
        "price_per_hour": plan.price_per_hour.before if plan else None,
        "done": dict(done),
    }


def _counted(kind: str, done: Sequence[Action]) -> str:
    """`launch 17 (2 calls)`: what was done, and in how many deeds where that differs. Empty for none."""
    deeds = [action.count for action in done if action.kind == kind]
    if not deeds:
        return ""
    calls = f" ({len(deeds)} calls)" if 1 < len(deeds) != sum(deeds) else ""
    return f"{kind} {sum(deeds)}{calls}"


def _stopped(plan: Plan) -> dict[KeepReason, int]:
    """Nodes of which nothing is decided though there might be something to do."""
    return {
        reason: sum(entry.reason is reason for entry in plan.keep)
        for reason in (KeepReason.HELD_BACK, KeepReason.PAUSED)
    }


_IN_SUMMARY = ("unfence", "join", "launch", "fence", "shut-down", "delete", "restore", "gang", "sweep")


def encode(report: Report) -> bytes:
    """JSON text of a report."""
    return msgspec.json.encode(report)


def decode(text: bytes, number: int) -> Report:
    """Read a report from the journal."""
    return msgspec.structs.replace(msgspec.json.decode(text, type=Report), number=number)
