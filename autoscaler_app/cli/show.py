"""Reports, plans and nodes as text for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from autoscaler_app import settings as settings_module
from autoscaler_app.cli.tables import table as table  # also for those who show what they found
from autoscaler_app.memory.orders import told
from autoscaler_app.memory.stories.budget import money
from autoscaler_app.passes import report as report_module
from autoscaler_app.passes.act.shadow import told as told_of_shadow
from autoscaler_app.passes.plan import Plan
from autoscaler_app.passes.report import Hearing, NodeSaw, Report

if TYPE_CHECKING:
    from autoscaler_app.passes.journal import Journal
    from autoscaler_app.passes.snapshot import SizeKnown
    from scalelib.bucket import Bucket
    from scalelib.provider import Cloud


def plural(count: int, noun: str) -> str:
    """`1 task`, `2 tasks`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def span(seconds: float) -> str:
    """`47 s`, `2.5 min`, `3.0 h`, `2.1 d`."""
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.0f} s"


def plan(made: Plan, currency: str = "") -> str:
    """A plan, one line a decision."""
    price = made.price_per_hour

    def hourly(amount: float) -> str:
        return f"{money(amount, currency, places=3)}/h"

    lines = [
        *(
            f"launch   {entry.count} x {entry.nodearray}/{entry.vm_size}{' spot' if entry.spot else ''}"
            f"{f' in {entry.placement_group}' if entry.placement_group else ''}"
            f"  ({hourly(entry.price_per_hour)})  for {_jobs(entry.jobs)}"
            for entry in made.launch
        ),
        *(
            f"create   {entry.count} x {entry.nodearray}/{entry.vm_size}{' spot' if entry.spot else ''}"
            f"  ({hourly(entry.price_per_hour)})  by {entry.detail}"
            for entry in made.create
        ),
        *(f"join     {entry.hostname} to {', '.join(entry.queues) or 'nothing'}" for entry in made.join),
        *(f"unfence  {entry.node} ({entry.reason})" for entry in made.unfence),
        *(f"fence    {entry.node} ({entry.reason.value})" for entry in made.fence),
        *(f"delete   {entry.node} ({entry.reason.value})" for entry in made.delete),
        *(
            f"keep     {entry.node} ({entry.reason.value}{f': {entry.detail}' if entry.detail else ''})"
            f"{f'  for {_jobs(entry.jobs)}' if entry.jobs else ''}"
            for entry in made.keep
        ),
        *(
            f"unserved {entry.count} of {entry.job} ({entry.reason}): {entry.detail}"
            for entry in made.unserved
        ),
        *(f"warning: {warning}" for warning in made.warnings),
        f"price    {hourly(price.before)} now, {hourly(price.added)} added; decided by the {made.decided_by}",
    ]
    return "\n".join(lines)


def _jobs(jobs: dict[str, int]) -> str:
    return ", ".join(f"{count} x {name}" for name, count in jobs.items())


def report(made: Report, currency: str = "") -> str:
    """One pass."""
    lines = [f"pass {made.number}: {report_module.summary(made)}"]
    lines += [
        f"{'done  ' if action.ok else 'FAILED'} {action.kind:9} {action.target}  {action.detail}"
        for action in made.actions
    ]
    if made.shadow is not None:
        assert made.plan is not None
        lines += [told_of_shadow(made.shadow, currency), *plan(made.plan, currency).splitlines()]
    elif made.plan is not None:
        lines += [
            f"unserved {entry.count} of {entry.job} ({entry.reason}): {entry.detail}"
            for entry in made.plan.unserved
        ]
    return "\n".join(lines)


def journal_line(made: Report) -> str:
    """One pass in one line."""
    return (
        f"{made.number:6} {made.started:%Y-%m-%d %H:%M:%S}Z {made.asked_by:5} {report_module.summary(made)}"
    )


def nodes(seen: Sequence[NodeSaw], made: Plan) -> str:
    """The nodes, with what the plan says of each."""
    fate = {entry.node_id: entry.reason.value for entry in made.keep}
    fate |= {entry.node_id: f"delete: {entry.reason.value}" for entry in made.delete}
    return table(
        ("name", "hostname", "vm_size", "state", "running", "held", "fenced", "heard", "price/h", "fate"),
        (
            (
                node.node,
                node.hostname,
                node.vm_size,
                node.state,
                node.running,
                node.held,
                "yes" if node.fenced else "",
                None if node.heard_seconds_ago is None else f"{node.heard_seconds_ago:.0f} s ago",
                f"{node.price_per_hour:.3f}",
                fate.get(node.node_id),
            )
            for node in seen
        ),
        empty="no nodes",
        spare=("price/h", "held", "heard", "hostname", "fenced"),
    )


def buckets_of(cloud: Cloud, sizes: Mapping[str, SizeKnown] | None = None) -> list[dict[str, Any]]:
    """The kinds of machine, with the limit that leaves least room, and what their machines told otherwise."""
    from scalelib.bucket import room_left

    pools = {pool.name: pool for pool in cloud.pools}
    facts = []
    for bucket in cloud.buckets:
        left, tightest = room_left(bucket, pools)
        facts.append(
            {
                "nodearray": bucket.nodearray,
                "vm_size": bucket.vm_size,
                "spot": bucket.spot,
                "vcpu_count": bucket.vcpu_count,
                "gpu_count": bucket.gpu_count,
                "memory_gib": bucket.memory_gib,
                "told": _told(bucket, sizes or {}),
                "price_per_hour": bucket.price_per_hour,
                "available": left,
                "limit": None if tightest is None else tightest.value,
                "set_aside": _why_not(bucket),
            }
        )
    return facts


def _told(bucket: Bucket, sizes: Mapping[str, SizeKnown]) -> dict[str, dict[str, float]]:
    """By amount: what holds in place of what the cloud promises, and both."""
    from autoscaler_app.passes.decide.sizes import size_of, told

    size = sizes.get(size_of(bucket.nodearray, bucket.vm_size))
    if size is None:
        return {}
    return {
        name: {"told": amount, "promised": size.promised.get(name, 0.0)}
        for name, amount in sorted(told(size).items())
    }


def _why_not(bucket: Bucket) -> str:
    if bucket.set_aside or not bucket.valid:
        return bucket.set_aside or bucket.invalid_reason
    groups = (f"placement group {group}: {why}" for group, why in bucket.failing_groups.items())
    return "; ".join(groups)


def buckets(facts: Sequence[dict[str, Any]]) -> str:
    """The kinds of machine as a table."""
    columns = (
        "nodearray",
        "vm_size",
        "spot",
        "vcpu_count",
        "gpu_count",
        "memory_gib",
        "told",
        "price_per_hour",
        "available",
        "limit",
        "set_aside",
    )
    rows = ({**fact, "told": _told_as_text(fact["told"])} for fact in facts)
    return table(
        columns,
        ([row[column] for column in columns] for row in rows),
        empty="no buckets",
        spare=("gpu_count", "memory_gib", "told", "spot"),
    )


def _told_as_text(told: Mapping[str, Mapping[str, float]]) -> str:
    return ", ".join(f"{name} {both['told']:g}, not {both['promised']:g}" for name, both in told.items())


ORDERED = {"hold": "on hold ", "drain": "draining", "delete": "to end  "}

LOOKED_BACK = 50
"""Reports, in search of the last pass that saw the cluster."""


def last_that_saw(journal: Journal) -> Report | None:
    """The last pass that saw the cluster: one that failed early saw nothing. None: it was long ago."""
    last = journal.reports(1)
    lately = last if last and last[0].saw is not None else journal.reports(LOOKED_BACK)
    return next((each for each in lately if each.saw is not None), None)


def status_of(journal: Journal) -> dict[str, Any]:
    """How things stand, from the journal."""
    last = journal.reports(1)
    orders, now = journal.orders(), journal.now()
    facts: dict[str, Any] = {
        "paused": journal.paused,
        "pauses": orders.pauses,
        "create": orders.create,
        "orders": {i: each for i, each in orders.nodes.items() if not each.is_over(now)},
        "last_pass": None,
    }
    if not last:
        return facts
    made = last[0]
    # What an earlier pass saw is shown, with its age, and never zeros.
    seen = made if made.saw is not None else last_that_saw(journal)
    facts["last_pass"] = {
        "number": made.number,
        "started": made.started,
        "seconds_ago": round((journal.now() - made.started).total_seconds(), 1),
        "ok": made.ok,
        "summary": report_module.summary(made),
    }
    facts["shadow"] = made.shadow
    facts["currency"] = settings_module.load().autoscaler.currency
    if seen is not None and seen.saw is not None:
        facts["seen_by"] = {
            "number": seen.number,
            "seconds_ago": round((journal.now() - seen.started).total_seconds(), 1),
        }
        facts["cluster_state"] = seen.saw.cluster_state
        facts["queues"] = seen.saw.queues
        facts["nodes"] = seen.saw.nodes
        facts["warnings"] = seen.saw.warnings
        facts["hearing"] = seen.saw.hearing
        if seen.plan is not None:
            facts["unserved"] = seen.plan.unserved
            facts["price_per_hour"] = seen.plan.price_per_hour
            guessed = {(each.nodearray, each.vm_size) for each in seen.saw.buckets if each.is_estimated}
            facts["price_is_estimated"] = any((n.nodearray, n.vm_size) in guessed for n in seen.saw.nodes)
    return facts


def heard(hearing: Hearing) -> str:
    """What the control worker hears, in a line."""
    lost = {
        "not understood": hearing.rejected,
        "without room": hearing.dropped,
        "accounts missed": hearing.gaps,
        "accounts too late": hearing.stale,
        "run times uncounted": hearing.evicted,
    }
    ear = "listening" if hearing.connected else "NOT LISTENING (no connection to the broker)"
    lag = "" if hearing.lag_seconds is None else f", {hearing.lag_seconds:.2f} s behind"
    losses = "".join(f", {count} {what}" for what, count in lost.items() if count)
    return f"{ear}{lag}: {hearing.events} events of {hearing.workers} workers{losses or ', none lost'}"


def status(facts: dict[str, Any]) -> str:
    """How things stand, as text."""
    last, worker = facts["last_pass"], facts.get("control_worker")
    not_in_charge = f"NOT IN CHARGE: {worker['why_not']}" if worker and worker["why_not"] else ""
    if last is None:
        return not_in_charge or (
            "no pass has been made yet: start `celery -A autoscaler_app worker` and `… beat`, or use `run`"
        )
    lines = [not_in_charge] if not_in_charge else []
    lines += [f"pass {last['number']}, {last['seconds_ago']:.0f} s ago: {last['summary']}"]
    lines += [f"PAUSED: {each.stops} ({told(each)}); `{each.ended_by}` ends it" for each in facts["pauses"]]
    lines += [
        f"to create {each.count} x {each.nodearray}/{each.vm_size}: by {told(each)}"
        for each in facts["create"]
    ]
    lines += [
        f"{ORDERED[each.what]} {each.node}: by {told(each)}"
        for each in sorted(facts["orders"].values(), key=lambda each: each.node)
    ]
    if (shadow := facts.get("shadow")) is not None:
        lines.append(f"SHADOW: {told_of_shadow(shadow, facts['currency'])}")
    seen = facts.get("seen_by")
    if seen is None:
        lines.append("no pass has seen the cluster lately")
    elif seen["number"] != last["number"]:
        lines.append(f"what follows was seen by pass {seen['number']}, {seen['seconds_ago']:.0f} s ago")
    queues = [q for q in facts.get("queues", ()) if q.waiting or q.running or q.held]
    lines += [
        "",
        table(
            ("queue", "waiting", "running", "held"),
            ((q.queue, q.waiting, q.running, q.held) for q in queues),
            empty="nothing waits or runs",
        ),
    ]
    lines += [
        "",
        table(
            ("node", "vm_size", "state", "running", "fenced"),
            (
                (n.node, n.vm_size, n.state, n.running, "yes" if n.fenced else "")
                for n in facts.get("nodes", ())
            ),
            empty="no nodes",
        ),
    ]
    if "price_per_hour" in facts:
        now = facts["price_per_hour"].before
        price = money(now, facts["currency"], is_estimated=facts["price_is_estimated"], places=3)
        lines += ["", f"{price} per hour"]
    lines += [
        f"unserved: {entry.count} of {entry.job} ({entry.reason}): {entry.detail}"
        for entry in facts.get("unserved", ())
    ]
    if (hearing := facts.get("hearing")) is not None:
        lines += ["", heard(hearing)]
    lines += [f"warning: {warning}" for warning in facts.get("warnings", ())]
    return "\n".join(lines)
