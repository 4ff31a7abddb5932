"""What the plan makes of each node, in a few words."""

from __future__ import annotations

from collections.abc import Iterable

from autoscaler_app.passes.plan import Keep, Plan
from autoscaler_app.passes.report import NodeSaw
from autoscaler_app.web import words


def fates(plan: Plan | None, nodes: Iterable[NodeSaw]) -> dict[str, str]:
    """By node id. The later entries win: a node that is fenced is also kept until it is empty."""
    if plan is None:
        return {}
    return {entry.node_id: _kept(entry) for entry in plan.keep} | _changed(plan, nodes)


def reasons(plan: Plan | None, nodes: Iterable[NodeSaw]) -> dict[str, str]:
    """The same without what is different for each node: nodes of one reason may be counted together."""
    if plan is None:
        return {}
    return {entry.node_id: entry.reason.value for entry in plan.keep} | _changed(plan, nodes)


def _changed(plan: Plan, nodes: Iterable[NodeSaw]) -> dict[str, str]:
    ids = {node.node: node.node_id for node in nodes}
    fate = {ids[e.node]: f"fence: {e.reason.value}" for e in plan.fence if e.node in ids}
    fate |= {ids[e.node]: f"unfence: {e.reason}" for e in plan.unfence if e.node in ids}
    return fate | {entry.node_id: f"delete: {entry.reason.value}" for entry in plan.delete}


def _kept(entry: Keep) -> str:
    """The detail tells more than the reason, and the jobs tell what the detail does not."""
    why = f"{entry.reason.value}: {entry.detail}" if entry.detail else entry.reason.value
    return f"{why} ({words.jobs(entry.jobs)})" if entry.jobs else why
