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
    fate = {entry.node_id: _kept(entry) for entry in plan.keep}
    ids = {node.node: node.node_id for node in nodes}
    fate |= {ids[e.node]: f"fence: {e.reason.value}" for e in plan.fence if e.node in ids}
    fate |= {ids[e.node]: f"unfence: {e.reason}" for e in plan.unfence if e.node in ids}
    fate |= {entry.node_id: f"delete: {entry.reason.value}" for entry in plan.delete}
    return fate


def _kept(entry: Keep) -> str:
    """The detail tells more than the reason, and the jobs tell what the detail does not."""
    why = f"{entry.reason.value}: {entry.detail}" if entry.detail else entry.reason.value
    return f"{why} ({words.jobs(entry.jobs)})" if entry.jobs else why
