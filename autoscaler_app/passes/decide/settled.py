"""Nodes where something has run for long: what runs there ends there, so others go before them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from autoscaler_app.passes.snapshot import HostSeen, JobSeen
from scalelib.node import Node, NodeId
from scalelib.policy import Policy

LONG = 0.25
"""Of the idle timeout of its node: a shorter task ends before its node could be idle."""


def settled(
    nodes: Iterable[Node], host_of: Mapping[NodeId, HostSeen], jobs: Iterable[JobSeen], policy: Policy
) -> frozenset[NodeId]:
    """The nodes among these on whose host a task has run for a good part of their idle timeout."""
    longest: dict[str, float] = {}
    for job in jobs:
        for hostname in job.executing_hostnames if job.so_far else ():
            longest[hostname] = max(longest.get(hostname, 0.0), *job.so_far)
    return frozenset(
        node.id
        for node in nodes
        if (host := host_of.get(node.id)) is not None
        and longest.get(host.hostname, 0.0) > LONG * policy.idle_timeout(node.nodearray).total_seconds()
    )
