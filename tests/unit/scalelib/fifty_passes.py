"""Fifty passes over demand that shrinks, or that is refilled as it ends: what is launched beyond need.

Shrinking demand never needs a launch after the first pass. Refilled demand gets as much of each job as ended
since, on places that nobody remembers, so that a few launches may follow.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from scalelib.job import Job
from scalelib.node import NodeState
from scalelib.planner import calculate
from scalelib.policy import Policy
from tests.unit.scalelib.carried_out import carried_out, world

PASSES = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class Launched:
    """Machines: bought by the first pass, and by all that followed."""

    first: int
    later: int


def fifty_passes(seed: int, *, refilled: bool, solver: bool = False) -> Launched | None:
    """What was launched; None for a world in which not all has room, as a launch may then be needed later."""
    chance = random.Random(f"fifty-{seed}")
    now = replace(world(random.Random(seed)), policy=Policy(solver=solver, solver_seconds=0.05))
    demand = calculate(now)
    if demand.unserved or not demand.launches:
        return None
    first, later = demand.new_nodes, 0
    for _ in range(PASSES):
        now = carried_out(now, demand, iter(lambda: NodeState.READY, None))
        jobs = []
        for job in now.jobs:
            ended = sum(chance.random() < 0.1 for _ in range(job.iterations))
            left = job.iterations if refilled else job.iterations - ended
            if left:
                jobs.append(Job(**{**job.to_json(), "iterations": left}))
        if refilled:
            # What ended takes its place with it: nobody is meant to be where it was.
            kept = {node: jobs for node, jobs in now.meant.items() if chance.random() < 0.9}
            now = replace(now, meant=kept)
        now = replace(now, jobs=tuple(jobs))
        demand = calculate(now)
        later += demand.new_nodes
    return Launched(first=first, later=later)
