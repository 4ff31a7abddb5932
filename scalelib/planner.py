"""From jobs, nodes, buckets and limits to a plan. Pure: the same problem gives the same plan."""

from __future__ import annotations

from collections.abc import Iterable

from scalelib.bucket import Bucket
from scalelib.demand import Demand, Launch, NodeReason, NodeVerdict, Unserved, UnservedReason
from scalelib.job import Job
from scalelib.node import Node
from scalelib.planning.catalogue import Catalogue
from scalelib.planning.kinds import kinds_of
from scalelib.planning.outcome import demand_of
from scalelib.planning.problem import Problem
from scalelib.planning.trials import best_plan
from scalelib.policy import Policy

__all__ = [
    "Demand",
    "Fitting",
    "Launch",
    "NodeReason",
    "NodeVerdict",
    "Problem",
    "Unserved",
    "UnservedReason",
    "calculate",
]


def calculate(problem: Problem) -> Demand:
    """The plan for a problem."""
    return demand_of(best_plan(problem))  # launches, a verdict on each node, a reason for all that stays


class Fitting:
    """Which of these jobs a node could hold one slot of, with nothing beside it. Equal nodes: one look."""

    def __init__(self, jobs: Iterable[Job], policy: Policy, buckets: Iterable[Bucket]) -> None:
        jobs = list(jobs)
        # The quota family of a node is known by its bucket only.
        self._catalogue = Catalogue(policy, buckets, [job.constraints for job in jobs])
        self._kinds = [(job.name, kinds_of([job])[0]) for job in jobs]
        self._names: dict[int, tuple[str, ...]] = {}

    def on(self, node: Node) -> tuple[str, ...]:
        """The names of those that fit, in order."""
        machine = self._catalogue.of_node(node)
        if machine not in self._names:
            fit = [name for name, kind in self._kinds if self._catalogue.levels(kind, machine)]
            self._names[machine] = tuple(sorted(fit))
        return self._names[machine]

    def among(self, buckets: Iterable[Bucket]) -> bool:
        """Whether a machine of one of these buckets, in a placement group or not, could hold any of them."""
        machines = [self._catalogue.of_bucket(bucket, group) for bucket in buckets for group in (None, "any")]
        return any(self._catalogue.levels(kind, each) for _, kind in self._kinds for each in machines)
