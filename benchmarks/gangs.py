"""Gangs, placement groups and exclusive work against an exact judge, in small random worlds.

The judge (`tests/unit/scalelib/exact.py`) is an integer programme over every way to fill a machine. Money is
compared for what the plan serves; and of each job that is left over, it is asked whether one more slot or
gang of it could be served beside all that is.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import replace

from benchmarks import Measurement
from scalelib.packing import has_solver
from scalelib.planner import calculate

MONEY = range(300)
SERVED = range(2_000)
SOLVER_SECONDS = 0.5


def measure() -> Iterator[Measurement]:
    """With and without the solver. The judge itself needs it."""
    if not has_solver():
        return
    for solver in (True, False):
        yield from _money(solver)
        yield from _served(solver)


def _money(solver: bool) -> Iterator[Measurement]:
    from tests.unit.scalelib.exact import TooLarge, cheapest, policy, served, small_world  # it needs highspy

    ratios, gaps = [], []
    for seed in MONEY:
        problem = replace(small_world(seed), policy=policy(solver, SOLVER_SECONDS))
        if not any(job.node_count or job.colocated or job.exclusive for job in problem.jobs):
            continue
        demand = calculate(problem)
        if not demand.price_added:
            continue
        try:
            best = cheapest(problem, served(problem, demand)).money
        except TooLarge:
            continue
        ratios.append(demand.price_added / min(best or demand.price_added, demand.price_added))
        gaps.append(demand.gap or 0.0)
    name = f"gangs, groups, exclusive work: {'solver' if solver else 'greedy'}, {len(ratios)} mixes"
    # What is promised is promised with the solver.
    mean, worst = (1.01, 1.03) if solver else (None, None)
    yield Measurement(name=name, metric="mean ratio", value=statistics.mean(ratios), unit="", target=mean)
    yield Measurement(name=name, metric="worst ratio", value=max(ratios), unit="", target=worst)
    yield Measurement(name=name, metric="mean stated gap", value=statistics.mean(gaps), unit="")


def _served(solver: bool) -> Iterator[Measurement]:
    from tests.unit.scalelib.exact import TooLarge, better_served, policy, small_world

    refused, judged = 0, 0
    for seed in SERVED:
        problem = replace(small_world(seed), policy=policy(solver, SOLVER_SECONDS))
        demand = calculate(problem)
        try:
            refused += bool(demand.unserved and better_served(problem, demand))
            judged += 1
        except TooLarge:
            continue
    yield Measurement(
        name=f"unserved though it could be placed: {'solver' if solver else 'greedy'}",
        metric=f"of {judged} worlds",
        value=refused,
        unit="worlds",
        target=0,
    )
