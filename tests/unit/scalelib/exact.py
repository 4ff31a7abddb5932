"""A judge: the least money for work in a small world, by an integer programme over every filled machine.

It shares nothing with the planner but the shapes of the problem and of the answer. Worlds are those of
`carried_out`: plain amounts, gangs, groups, exclusive work, sizes, ceilings and empty nodes without a group.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, product

import highspy

from scalelib.bucket import Bucket
from scalelib.demand import Demand
from scalelib.job import Job
from scalelib.planner import Problem
from scalelib.policy import Policy
from tests.unit.scalelib.carried_out import SIZES, world

MOST_PATTERNS = 4_000
MOST_GROUPS = 6
INFINITY = float(highspy.kHighsInf)

Pattern = tuple[int, ...]
"""Units of each job on one machine."""


class TooLarge(Exception):
    """More filled machines than the judge can look at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Best:
    """What is known of the least money; `money` is None if no placement exists (or none was found)."""

    money: float | None
    bound: float
    settled: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    """Equal machines: nodes that are there, or what can be bought, in one placement group or in none."""

    size: str
    group: int | None
    price: float
    most: int | None
    bucket: Bucket | None
    patterns: Sequence[Pattern]


def small_world(seed: int, *, priorities: bool = False) -> Problem:
    """A world that the judge can settle: few units, one priority unless several are asked for."""
    chance = random.Random(f"small-{seed}")
    first = world(chance)
    jobs = tuple(
        replace_job(
            job,
            iterations=min(job.iterations, chance.choice([1, 2, 3, 5, 7])),
            priority=job.priority if priorities else 0,
        )
        for job in first.jobs[:4]
    )
    return replace(first, jobs=jobs)


def policy(solver: bool, seconds: float) -> Policy:
    """The judge knows no machines that are reserved."""
    return Policy(solver=solver, solver_seconds=seconds, reserved={"default": False})


def replace_job(job: Job, **changes: int) -> Job:
    """The job with some of it changed."""
    return Job(**{**job.to_json(), **changes})


def served(problem: Problem, demand: Demand) -> dict[str, int]:
    """Slots (gangs) of each job that the plan serves."""
    left: Counter[str] = Counter()
    for each in demand.unserved:
        left[each.job] += each.count
    return {job.name: job.iterations - left[job.name] for job in problem.jobs}


def better_served(problem: Problem, demand: Demand, *, seconds: float = 20.0) -> list[str]:
    """Jobs of which one more slot (gang) could be served, and all that is of its priority and above."""
    now, found = served(problem, demand), []
    for job in problem.jobs:
        if now[job.name] == job.iterations:
            continue
        wanted = {j.name: now[j.name] for j in problem.jobs if j.priority >= job.priority}
        wanted[job.name] += 1
        if not _fits_at_all(problem, job):
            continue
        if cheapest(problem, wanted, seconds=seconds, any_will_do=True).money is not None:
            found.append(job.name)
    return found


def _fits_at_all(problem: Problem, job: Job) -> bool:
    sizes = {bucket.vm_size for bucket in problem.buckets}
    return any(_space([job], size, _needs(job)) for size in sizes)


def cheapest(
    problem: Problem, wanted: Mapping[str, int], *, seconds: float = 20.0, any_will_do: bool = False
) -> Best:
    """The least money for so many slots of each job."""
    jobs = [replace_job(job, iterations=wanted[job.name]) for job in problem.jobs if wanted.get(job.name)]
    places = list(_places(problem, jobs))
    return _Programme(problem, jobs, places, any_will_do).solve(seconds)


def _needs(job: Job) -> tuple[int, int, int]:
    amounts = job.to_json()["constraints"]
    return tuple(round(2 * amounts.get(name, 0)) for name in ("ncpus", "memgb", "ngpus"))  # type: ignore[return-value]


def _space(jobs: Sequence[Job], size: str, needs: tuple[int, int, int]) -> int:
    has = [2 * amount for amount in SIZES[size][:3]]
    return min((h // n for h, n in zip(has, needs, strict=True) if n), default=10**6)


def _places(problem: Problem, jobs: Sequence[Job]) -> Iterator[_Place]:
    for size, nodes in groupby(sorted(node.vm_size for node in problem.nodes)):
        free = _patterns(jobs, size, grouped=False)
        yield _Place(size=size, group=None, price=0.0, most=len(list(nodes)), bucket=None, patterns=free)
    groups = min(sum(job.iterations for job in jobs if job.colocated), MOST_GROUPS)
    for bucket in problem.buckets:
        free = _patterns(jobs, bucket.vm_size, grouped=False)
        yield _Place(
            size=bucket.vm_size,
            group=None,
            price=bucket.price_per_hour or 0.0,
            most=None,
            bucket=bucket,
            patterns=free,
        )
        for group in range(groups):
            yield _Place(
                size=bucket.vm_size,
                group=group,
                price=bucket.price_per_hour or 0.0,
                most=bucket.max_placement_group_size,
                bucket=bucket,
                patterns=_patterns(jobs, bucket.vm_size, grouped=True),
            )


def _patterns(jobs: Sequence[Job], size: str, *, grouped: bool) -> list[Pattern]:
    """Every way to fill a machine; without groups only those to which nothing can be added."""
    has = [2 * amount for amount in SIZES[size][:3]]
    needs = [_needs(job) for job in jobs]
    most = []
    for job, need in zip(jobs, needs, strict=True):
        may = 0 if job.colocated and not grouped else min(_space(jobs, size, need), job.iterations)
        most.append(may)
    alone = [i for i, job in enumerate(jobs) if job.exclusive]
    found = [tuple(int(i == j) for j in range(len(jobs))) for i in alone if most[i]]
    ranges = [
        range(0 if i in alone else most[i] + 1) if i not in alone else range(1) for i in range(len(jobs))
    ]
    total = 1
    for each in ranges:
        total *= len(each)
    if total > 300_000:
        raise TooLarge
    free_needs = list(zip(*needs, strict=True)) if needs else [(), (), ()]
    for units in product(*ranges):
        left = [
            h - sum(u * n for u, n in zip(units, row, strict=True))
            for h, row in zip(has, free_needs, strict=True)
        ]
        if min(left) < 0 or not any(units):
            continue
        if not grouped and any(
            units[i] < most[i] and all(n <= have for n, have in zip(needs[i], left, strict=True))
            for i in range(len(jobs))
            if i not in alone
        ):
            continue
        found.append(units)
    if len(found) > MOST_PATTERNS:
        raise TooLarge
    return found


class _Programme:
    """Columns: how many of each filled machine, and how many gangs that are to be together in each group."""

    def __init__(
        self, problem: Problem, jobs: Sequence[Job], places: Sequence[_Place], any_will_do: bool
    ) -> None:
        self.solver = solver = highspy.Highs()
        for option, value in {
            "output_flag": False,
            "threads": 1,
            "random_seed": 1,
            "mip_rel_gap": 1e-4,
        }.items():
            solver.setOptionValue(option, value)
        if any_will_do:
            solver.setOptionValue("objective_target", INFINITY)
            solver.setOptionValue("mip_max_improving_sols", 1)
        self.columns = 0
        units: dict[int, list[tuple[int, float]]] = {j: [] for j in range(len(jobs))}
        used: dict[str, list[tuple[int, float, float]]] = {}
        for place in places:
            first = self.columns
            for pattern in place.patterns:
                column = self._column(0.0 if any_will_do else place.price, INFINITY)
                for j, count in enumerate(pattern):
                    if count and not (jobs[j].colocated and jobs[j].node_count):
                        units[j].append((column, count))
                for name, cores in place.bucket.pools.items() if place.bucket else ():
                    used.setdefault(name, []).append((column, 1.0, float(cores)))
            mine = list(range(first, self.columns))
            if place.most is not None:
                self._row(-INFINITY, place.most, [(column, 1.0) for column in mine])
            if place.group is None:
                continue
            for j, job in enumerate(jobs):
                if job.colocated and job.node_count:
                    units[j].append((self._gangs(job, j, place, mine), 1.0))
        for j, job in enumerate(jobs):
            apart = job.node_count if job.node_count and not job.colocated else 1
            self._row(job.iterations * apart, INFINITY, units[j])
        for pool in problem.pools:
            rows = used.get(pool.name, [])
            if pool.nodes is not None:
                self._row(-INFINITY, pool.nodes, [(column, node) for column, node, _ in rows])
            if pool.cores is not None:
                self._row(-INFINITY, pool.cores, [(column, cores) for column, _, cores in rows])

    def _gangs(self, job: Job, j: int, place: _Place, mine: Sequence[int]) -> int:
        """How many gangs of the job are in the group; no machine there has more units of it than gangs."""
        gangs = self._column(0.0, job.iterations)
        have = [(column, float(p[j])) for column, p in zip(mine, place.patterns, strict=True) if p[j]]
        self._row(0.0, INFINITY, [*have, (gangs, -float(job.node_count))])
        steps = []
        for units in range(1, job.iterations + 1):
            step = self._column(0.0, 1.0)
            steps.append((step, -1.0))
            above = [(c, 1.0) for c, p in zip(mine, place.patterns, strict=True) if p[j] >= units]
            most = float(job.iterations * job.node_count)
            self._row(-INFINITY, 0.0, [*above, (step, -most)])
        self._row(0.0, INFINITY, [(gangs, 1.0), *steps])
        return gangs

    def _column(self, price: float, most: float) -> int:
        self.solver.addCol(price, 0.0, most, 0, [], [])
        self.columns += 1
        return self.columns - 1

    def _row(self, least: float, most: float, entries: Sequence[tuple[int, float]]) -> None:
        self.solver.addRow(
            float(least), float(most), len(entries), [c for c, _ in entries], [float(v) for _, v in entries]
        )

    def solve(self, seconds: float) -> Best:
        """Solve it."""
        kinds = [highspy.HighsVarType.kInteger] * self.columns
        self.solver.changeColsIntegrality(self.columns, list(range(self.columns)), kinds)
        self.solver.setOptionValue("time_limit", seconds)
        self.solver.run()
        status, info = self.solver.getModelStatus(), self.solver.getInfo()
        has = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
        return Best(
            money=float(info.objective_function_value) if has else None,
            bound=float(info.mip_dual_bound),
            settled=status in (highspy.HighsModelStatus.kOptimal, highspy.HighsModelStatus.kInfeasible),
        )
