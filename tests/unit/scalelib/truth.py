"""Whether the reason that is stated for work without a place is true: figured out anew, from the plan alone.

It knows the worlds of `carried_out`: plain amounts, gangs, groups, exclusive work, sizes, shared ceilings.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from scalelib.bucket import Bucket
from scalelib.demand import Demand, Unserved, UnservedReason
from scalelib.job import Job
from scalelib.planner import Problem
from tests.unit.scalelib.carried_out import SIZES


@dataclass(frozen=True, kw_only=True, slots=True)
class _Machine:
    size: str
    group: str | None
    jobs: Mapping[str, int]


class Truth:
    """The world after a plan."""

    def __init__(self, problem: Problem, demand: Demand) -> None:
        self.jobs = {job.name: job for job in problem.jobs}
        self.buckets = problem.buckets
        self.machines = [
            _Machine(size=v.node.vm_size, group=v.node.placement_group, jobs=v.jobs) for v in demand.nodes
        ]
        self.nodes = {pool.name: pool.nodes for pool in problem.pools}
        self.cores = {pool.name: pool.cores for pool in problem.pools}
        self.kind_of = {pool.name: pool.kind.value for pool in problem.pools}
        by_id = {bucket.id: bucket for bucket in problem.buckets}
        self.groups = {(n.vm_size, n.placement_group) for n in problem.nodes if n.placement_group}
        for launch in demand.launches:
            if launch.placement_group:
                self.groups.add((launch.vm_size, launch.placement_group))
            for count, here in launch.per_node:
                self.machines += [
                    _Machine(size=launch.vm_size, group=launch.placement_group, jobs=here)
                ] * count
            for name, cores in by_id[launch.bucket_id].pools.items():
                nodes, left = self.nodes[name], self.cores[name]
                self.nodes[name] = None if nodes is None else nodes - launch.count
                self.cores[name] = None if left is None else left - cores * launch.count
        self.most_groups = problem.policy.groups_of("worker").most

    def wrong(self, said: Unserved) -> str | None:
        """What is untrue about it; None if nothing is."""
        job = self.jobs[said.job]
        fitting = [
            b for b in self.buckets if all(n <= h for n, h in zip(_needs(job), _has(b.vm_size), strict=True))
        ]
        if (said.reason is UnservedReason.NEVER_FITS) == bool(fitting):
            return f"{'something' if fitting else 'nothing'} holds it"
        if not fitting:
            return None
        wanted = max(job.node_count, 1)
        found = max(self._machines_for(job, fitting, scope) for scope in self._scopes(job, fitting))
        if found >= wanted:
            return f"there is room for {found}"
        match said.reason:
            case UnservedReason.GANG_INCOMPLETE:
                needed, room = map(
                    int, re.findall(r"(\d+) nodes are needed.*room for (\d+):", said.detail)[0]
                )
                if (needed, room) != (job.node_count, found):
                    return f"there is room for {found} of {job.node_count}"
                return self._wrong_figures(said)
            case UnservedReason.PLACEMENT_GROUP:
                is_small = all(bucket.max_placement_group_size < wanted for bucket in fitting)
                is_full = any(
                    self._group_room(bucket, group) == 0
                    for bucket in fitting
                    for group in self._groups(bucket)
                )
                many = len(self.groups) >= self.most_groups
                return None if is_small or many or is_full else "a group could be begun"
            case _:
                return self._wrong_figures(said)

    def _wrong_figures(self, said: Unserved) -> str | None:
        """The ceiling that is named has what is told of it, and that is too little."""
        told = re.search(r"'([^']+)' has (\d+) (cores|nodes) left(?:, and one | for )(\w+) ", said.detail)
        if told is None:
            return f"no figures in {said.detail!r}"
        pool, left, what, size = told.groups()
        has = (self.cores if what == "cores" else self.nodes)[pool]
        if has != int(left):
            return f"{pool} has {has} {what} left"
        if said.reason is UnservedReason.GANG_INCOMPLETE:
            return None
        takes = SIZES[size][0] if what == "cores" else 1
        if said.reason.value != self.kind_of[pool]:
            return f"{pool} is a ceiling of another kind"
        return None if int(left) < takes else f"{pool} has room for one more"

    def _scopes(self, job: Job, fitting: list[Bucket]) -> Iterator[tuple[Bucket, str] | None]:
        """Everywhere, or for what is to be in one placement group, each that there is or could be."""
        if not job.colocated:
            yield None
            return
        yield from ((b, group) for b in fitting for group in self._groups(b))
        if len(self.groups) < self.most_groups:
            yield from ((bucket, "new") for bucket in fitting)
        yield fitting[0], "none"  # so that there is one

    def _machines_for(self, job: Job, fitting: list[Bucket], scope: tuple[Bucket, str] | None) -> int:
        """Machines that hold one more slot, up to a gang's worth: those there are and those to be bought."""
        if scope is not None and scope[1] == "none":
            return 0
        there = sum(
            self._holds(machine, job)
            for machine in self.machines
            if scope is None or (machine.size, machine.group) == (scope[0].vm_size, scope[1])
        )
        wanted = max(job.node_count, 1)
        ranges = []
        for bucket in fitting:
            room = self._room(bucket)
            if scope is not None:
                room = min(room, self._group_room(bucket, scope[1])) if bucket is scope[0] else 0
            ranges.append(range(min(room, wanted) + 1))
        bought = max(
            sum(each) for each in product(*ranges) if self._may(list(zip(fitting, each, strict=True)))
        )
        return min(there + bought, wanted)

    def _may(self, counts: Sequence[tuple[Bucket, int]]) -> bool:
        nodes: Counter[str] = Counter()
        cores: Counter[str] = Counter()
        for bucket, count in counts:
            for name, each in bucket.pools.items():
                nodes[name] += count
                cores[name] += count * each
        return all(
            (self.nodes[name] is None or nodes[name] <= self.nodes[name])
            and (self.cores[name] is None or cores[name] <= self.cores[name])
            for name in nodes
        )

    def _room(self, bucket: Bucket) -> int:
        room = 10**6
        for name, each in bucket.pools.items():
            nodes, cores = self.nodes[name], self.cores[name]
            room = min(room, 10**6 if nodes is None else nodes, 10**6 if cores is None else cores // each)
        return room

    def _groups(self, bucket: Bucket) -> list[str]:
        return [group for size, group in self.groups if size == bucket.vm_size and group]

    def _group_room(self, bucket: Bucket, group: str) -> int:
        there = sum((m.size, m.group) == (bucket.vm_size, group) for m in self.machines)
        return max(bucket.max_placement_group_size - there, 0)

    def _holds(self, machine: _Machine, job: Job) -> bool:
        if any(self.jobs[name].exclusive for name in machine.jobs) or (job.exclusive and machine.jobs):
            return False
        free = list(_has(machine.size))
        for name, slots in machine.jobs.items():
            free = [have - slots * need for have, need in zip(free, _needs(self.jobs[name]), strict=True)]
        return all(need <= have + 1e-9 for need, have in zip(_needs(job), free, strict=True))


def _needs(job: Job) -> tuple[float, ...]:
    amounts = job.to_json()["constraints"]
    return tuple(float(amounts.get(name, 0)) for name in ("ncpus", "memgb", "ngpus"))


def _has(size: str) -> tuple[float, ...]:
    return tuple(float(amount) for amount in SIZES[size][:3])
