"""What a plan is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from scalelib.bucket import Bucket, Pool
from scalelib.history import NodeTimes
from scalelib.job import Job
from scalelib.node import Node, NodeId
from scalelib.policy import Policy


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Everything that a plan depends on."""

    jobs: tuple[Job, ...]
    nodes: tuple[Node, ...] = ()
    buckets: tuple[Bucket, ...] = ()
    pools: tuple[Pool, ...] = ()
    history: Mapping[NodeId, NodeTimes] = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)
    now: datetime
    closed: frozenset[NodeId] = frozenset()
    """Nodes that take no new work now but can be opened again at no cost (fenced)."""
    settled: frozenset[NodeId] = frozenset()
    """Nodes where something has run for long: what runs there ends there, so they are kept before others."""
    meant: Mapping[NodeId, Mapping[str, int]] = field(default_factory=dict)
    """Slots by job that a node was bought for, or that the last plan put there; empty where nobody knows.
    That packing is the first that is tried, so that a plan that is carried out is not made anew."""
    in_line: bool = False
    """`jobs` are in the order in which they came: where not all of a priority has room, that decides.
    Otherwise their order does not matter."""
    waited: Mapping[str, timedelta] = field(default_factory=dict)
    """For how long a job has waited without getting a place for any of its slots, as far as that is known."""
