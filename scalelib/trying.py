"""What one machine of each kind would hold of a job, whatever the limits leave now. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from scalelib.bucket import Bucket
from scalelib.demand import Demand
from scalelib.job import Job
from scalelib.planner import Problem, calculate
from scalelib.policy import Policy
from scalelib.prices import price_list
from scalelib.warm import WarmPool

_MANY: Final = 10_000
"""Slots that are more than any machine holds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """A job on one kind of machine."""

    bucket: Bucket
    slots: int
    """Of it that one machine holds; 0: none."""
    price_per_hour: float
    """Money for one machine."""
    why_not: str
    """What is in the way, and what would change it; empty where it fits."""
    now_not: str
    """Why no such machine would be launched just now, though it fits; empty if one would."""


def tried(job: Job, buckets: Sequence[Bucket], policy: Policy, now: datetime) -> list[Tried]:
    """The job on a machine of each bucket, in the cloud's order. The limits over buckets are not asked."""
    prices = price_list(buckets, policy.prices)
    alone = replace(policy, warm_pool=WarmPool(), solver=False)
    found = []
    for bucket in sorted(buckets, key=lambda each: (each.position, each.id)):
        free = replace(bucket, pools={}, valid=True, set_aside="", capacity_failed=None, failing_groups={})
        whole = _plan(job.evolve(iterations=1), free, alone, now)
        why_not = "; ".join(entry.detail for entry in whole.unserved)
        slots = 0
        if not why_not:
            plan = _plan(job.evolve(iterations=_MANY, node_count=0), free, alone, now)
            slots = max(
                (sum(jobs.values()) for entry in plan.launches for _, jobs in entry.per_node), default=0
            )
        found.append(
            Tried(
                bucket=bucket,
                slots=slots,
                price_per_hour=prices[bucket.id],
                why_not=why_not,
                now_not="" if why_not else _now_not(bucket),
            )
        )
    return found


def _plan(job: Job, bucket: Bucket, policy: Policy, now: datetime) -> Demand:
    return calculate(Problem(jobs=(job,), buckets=(bucket,), policy=policy, now=now))


def _now_not(bucket: Bucket) -> str:
    if bucket.valid:
        return bucket.set_aside
    return bucket.invalid_reason or "it may not get new nodes"
