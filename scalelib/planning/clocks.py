"""How long a node has been booting, idle or surplus, and what state that makes it."""

from __future__ import annotations

from datetime import timedelta

from scalelib.node import Node, NodeState
from scalelib.planning.fleet import Tier
from scalelib.planning.problem import Problem


def boot_timed_out(node: Node, problem: Problem) -> bool:
    """Has it been booting for longer than the boot timeout, this time?"""
    times = problem.history.get(node.id)
    if not node.is_booting or not node.managed or times is None:
        return False
    return problem.now - times.boot_began > problem.policy.boot_timeout(node.nodearray)


def idle_for(node: Node, problem: Problem) -> timedelta:
    """How long nothing ran there or was planned for it; nothing for a node not seen before."""
    times = problem.history.get(node.id)
    if times is None or times.last_active is None:
        return timedelta(0)
    return max(problem.now - times.last_active, timedelta(0))


def surplus_for(node: Node, problem: Problem) -> timedelta:
    """How long the plan could have done without it."""
    times = problem.history.get(node.id)
    if times is None or times.last_needed is None:
        return timedelta(0)
    return max(problem.now - times.last_needed, timedelta(0))


def tier_of(node: Node, problem: Problem) -> Tier | None:
    """When the node is filled; None if it takes no work at all."""
    if not node.wanted:
        return None
    if node.id in problem.closed and (node.is_ready or not node.managed):
        return Tier.CLOSED
    if not node.managed:
        return None if node.state.is_failed or node.state.is_leaving else Tier.UNMANAGED
    if node.is_ready:
        return Tier.READY
    if node.is_booting and not boot_timed_out(node, problem):
        return Tier.BOOTING
    return Tier.BOOTING if _may_be_booting(node, problem) else None


def _may_be_booting(node: Node, problem: Problem) -> bool:
    """It was bought for work, and of its state the cloud says what nobody understands: until its boot would
    be late that work is not bought a second time.
    """
    times = problem.history.get(node.id)
    if node.state is not NodeState.UNKNOWN or not problem.meant.get(node.id):
        return False
    if times is None:
        return True
    return times.ready is None and problem.now - times.created <= problem.policy.boot_timeout(node.nodearray)
