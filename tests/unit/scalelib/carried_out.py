"""Random worlds in which a plan is carried out, and planned again: nothing is to be bought twice."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

from scalelib.bucket import Bucket, Pool, PoolKind
from scalelib.demand import Demand
from scalelib.job import Job
from scalelib.node import Node, NodeId, NodeState
from scalelib.planner import Problem, calculate
from scalelib.policy import Policy

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SIZES = {
    "F2": (2, 4, 0, 0.1),
    "F8": (8, 16, 0, 0.39),
    "E4": (4, 32, 0, 0.3),
    "E16": (16, 128, 0, 1.2),
    "N6": (6, 56, 1, 1.0),
}
"""Virtual CPUs, GiB, GPUs and price of each size."""


def world(chance: random.Random, *, solver: bool = False) -> Problem:
    """Jobs of every shape, sizes, ceilings, and some nodes that are there."""
    sizes = chance.sample(sorted(SIZES), chance.randint(1, 4))
    loose = chance.random() < 0.6
    pools = [
        Pool(name="cluster", kind=PoolKind.CLUSTER, cores=10**6 if loose else chance.choice([16, 60, 200]))
    ]
    pools += [
        Pool(
            name=f"bucket/{size}",
            kind=PoolKind.BUCKET,
            nodes=1000 if loose else chance.choice([1, 3, 6, 1000]),
        )
        for size in sizes
    ]
    buckets = [_bucket(size, i, chance.choice([2, 4, 100])) for i, size in enumerate(sizes)]
    there = [
        _node(NodeId(f"old-{i}"), chance.choice(buckets), None, NodeState.READY)
        for i in range(chance.choice([0, 0, 2, 5]))
    ]
    return Problem(
        jobs=tuple(_jobs(chance)),
        nodes=tuple(there),
        buckets=tuple(buckets),
        pools=tuple(pools),
        policy=Policy(solver=solver, solver_seconds=0.05),
        now=NOW,
    )


def _jobs(chance: random.Random) -> Iterator[Job]:
    for i in range(chance.randint(1, 6)):
        needs = {"ncpus": chance.choice([0.5, 1, 2, 3, 4, 8])}
        if chance.random() < 0.5:
            needs["memgb"] = chance.choice([1, 3, 7.5, 16, 30])
        if chance.random() < 0.1:
            needs["ngpus"] = 1
        nodes = chance.choice([0, 0, 0, 2, 3, 6])
        yield Job(
            f"j{i}",
            needs,
            iterations=chance.choice([1, 2, 3]) if nodes else chance.choice([1, 2, 5, 17, 60]),
            node_count=nodes,
            colocated=chance.random() < (0.5 if nodes else 0.1),
            exclusive=chance.random() < 0.15,
            priority=chance.choice([0, 0, 1]),
        )


def _bucket(size: str, position: int, group_size: int) -> Bucket:
    vcpus, memory, gpus, price = SIZES[size]
    return Bucket(
        id=size,
        nodearray="worker",
        vm_size=size,
        vcpu_count=vcpus,
        pcpu_count=vcpus,
        gpu_count=gpus,
        memory_gib=memory,
        price_per_hour=price,
        pools={"cluster": vcpus, f"bucket/{size}": vcpus},
        max_placement_group_size=group_size,
        position=position,
    )


def _node(node_id: NodeId, bucket: Bucket, group: str | None, state: NodeState) -> Node:
    return Node(
        id=node_id,
        name=node_id,
        nodearray=bucket.nodearray,
        vm_size=bucket.vm_size,
        bucket_id=bucket.id,
        state=state,
        status=state.value,
        placement_group=group,
        vcpu_count=bucket.vcpu_count,
        pcpu_count=bucket.pcpu_count,
        gpu_count=bucket.gpu_count,
        memory_gib=bucket.memory_gib,
    )


def carried_out(
    problem: Problem, demand: Demand, states: Iterable[NodeState], *, known: bool = True
) -> Problem:
    """The world after the plan: its machines are there, and known is what each was bought for."""
    by_id, state_of = {bucket.id: bucket for bucket in problem.buckets}, iter(states)
    nodes = list(problem.nodes)
    meant = {verdict.node.id: dict(verdict.jobs) for verdict in demand.nodes if verdict.jobs}
    left = {pool.name: [pool.nodes, pool.cores] for pool in problem.pools}
    for launch in demand.launches:
        bucket = by_id[launch.bucket_id]
        for here in (jobs for count, jobs in launch.per_node for _ in range(count)):
            node = _node(NodeId(f"n-{len(nodes)}"), bucket, launch.placement_group, next(state_of))
            nodes.append(node)
            meant[node.id] = dict(here)
            for name, cores in bucket.pools.items():
                for i, taken in enumerate((1, cores)):
                    amount = left[name][i]
                    left[name][i] = None if amount is None else amount - taken
    pools = tuple(replace(p, nodes=left[p.name][0], cores=left[p.name][1]) for p in problem.pools)
    return replace(problem, nodes=tuple(nodes), pools=pools, meant=meant if known else {})


def unserved(problem: Problem, demand: Demand) -> list[int]:
    """Slots without a place, those of the highest priority first."""
    priority_of = {job.name: job.priority for job in problem.jobs}
    left = dict.fromkeys(sorted(priority_of.values(), reverse=True), 0)
    for each in demand.unserved:
        left[priority_of[each.job]] += each.count
    return list(left.values())


def bought_again(seed: int, *, solver: bool = False) -> str | None:
    """What a second or third pass bought though nothing changed, or fewer jobs bought; None if nothing.

    Where not all has room, a later pass may find a place for more of it: what it buys for that is not bought
    twice.
    """
    chance = random.Random(seed)
    first = world(chance, solver=solver)
    for number in (2, 3):
        demand = calculate(first)
        # All of them boot, all are ready, or half of each.
        mix = chance.choice(
            [(NodeState.ACQUIRING,), (NodeState.READY,), (NodeState.ACQUIRING, NodeState.READY)]
        )
        second = carried_out(first, demand, (mix[i % len(mix)] for i in range(10**6)))
        again = calculate(second)
        if again.launches and unserved(second, again) >= unserved(first, demand):
            return f"seed {seed}: pass {number} bought {[(x.vm_size, x.count) for x in again.launches]}"
        fewer = tuple(job for job in second.jobs if chance.random() < 0.7)
        # With less in the way, what had no place may get one: that is no needless launch.
        if not demand.unserved and (less := calculate(replace(second, jobs=fewer))).launches:
            return f"seed {seed}: fewer jobs bought {[(x.vm_size, x.count) for x in less.launches]}"
        first = second
    return None
