"""How fast the planner is, alone and with the solver off, and how its time grows."""

from __future__ import annotations

import gc
import multiprocessing
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from benchmarks import Measurement, exponent
from scalelib.bucket import Bucket, Pool, PoolKind
from scalelib.history import SQLiteNodeHistory
from scalelib.job import Job
from scalelib.node import Node, NodeId, NodeState
from scalelib.planner import Problem, calculate
from scalelib.policy import Policy

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
GREEDY = Policy(solver=False)
PLENTY = 10**7


def measure() -> Iterator[Measurement]:
    """Every target of the planner."""
    for name, make, seconds in TARGETS:
        yield _timed(name, make(), seconds)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        peak = pool.apply(_peak_memory)
    yield Measurement(name=TARGETS[0][0], metric="peak memory", value=peak, unit="MB", target=300.0)
    yield _history_update()
    yield from _growth()
    yield from _large()


# -- what is planned


def a_million_tasks(tasks: int = 1_000_000, nodes: int = 5000) -> Problem:
    """50 kinds given as 50 jobs with iterations, live nodes in 50 buckets."""
    kinds = _kinds(50)
    jobs = [Job(f"queue-{i}", kind, iterations=tasks // 50) for i, kind in enumerate(kinds)]
    return _problem(jobs, nodes=nodes)


def many_jobs(count: int = 100_000) -> Problem:
    """Separate jobs of 200 kinds, 1,000 live nodes."""
    kinds = _kinds(200)
    return _problem([Job(f"job-{i}", kinds[i % 200]) for i in range(count)], nodes=1000)


def many_jobs_made() -> None:
    """The same, and the jobs made as well."""
    calculate(many_jobs())


def a_cold_start() -> Problem:
    """10,000 separate jobs of 20 kinds, no live nodes."""
    kinds = _kinds(20)
    return _problem([Job(f"job-{i}", kinds[i % 20]) for i in range(10_000)])


def many_nodes(nodes: int = 5000) -> Problem:
    """1,000 jobs of 20 kinds over live nodes."""
    kinds = _kinds(20)
    return _problem([Job(f"job-{i}", kinds[i % 20]) for i in range(1000)], nodes=nodes)


def all_different(count: int = 1000) -> Problem:
    """As many kinds as jobs, over 5,000 live nodes: the worst there is."""
    return _problem([Job(f"job-{i}", kind) for i, kind in enumerate(_kinds(count))], nodes=5000)


def a_busy_fleet() -> Problem:
    """5,000 nodes that each run something of their own, and 50 queues that wait."""
    kinds = _kinds(50)
    running = [Job(f"run-{i}", kinds[i % 50], executing_hostnames=[f"host-{i}"]) for i in range(5000)]
    waiting = [Job(f"queue-{i}", kind, iterations=200) for i, kind in enumerate(kinds)]
    return _problem(running + waiting, nodes=5000)


def many_gangs(count: int = 1000) -> Problem:
    """Colocated gangs of 2 to 16 nodes."""
    draw = random.Random(3)
    sizes = [(draw.choice((2, 4, 8)), draw.randrange(2, 17)) for _ in range(count)]
    return _problem(
        [Job(f"gang-{i}", {"ncpus": c}, node_count=n, colocated=True) for i, (c, n) in enumerate(sizes)]
    )


def distinct_kinds(count: int) -> Problem:
    """As many kinds as jobs, no nodes."""
    draw = random.Random(count)
    needs = draw.sample(range(256, 60_000), count)
    return _problem([Job(f"j{i}", {"ncpus": 1 + i % 8, "memmb": mb}) for i, mb in enumerate(needs)])


def many_of_each(nodes: int) -> Problem:
    """500 kinds over live nodes of 200 sizes."""
    draw = random.Random(7)
    sizes = _buckets()
    buckets = tuple(
        replace(
            each,
            id=f"{i:03}",
            vm_size=f"Standard_M{i}",
            memory_gib=each.memory_gib + i // 50,
            pools={f"bucket/{i:03}": each.vcpu_count, "regional": each.vcpu_count},
            position=i,
        )
        for i, each in ((i, sizes[i % 50]) for i in range(200))
    )
    jobs = [
        Job(f"q{i}", {"ncpus": 1 + i % 8, "memmb": mb}, iterations=40)
        for i, mb in enumerate(draw.sample(range(256, 60_000), 500))
    ]
    problem = Problem(jobs=tuple(jobs), buckets=buckets, pools=_pools(buckets), now=NOW, policy=GREEDY)
    return replace(problem, nodes=_nodes(buckets, nodes))


def uneven_nodes(count: int, each: int = 20) -> Problem:
    """20 queues, of so many tasks each, over live nodes that tell a few MB less than their size has."""
    draw = random.Random(count)
    jobs = [Job(f"queue-{i}", kind, iterations=each) for i, kind in enumerate(_kinds(20))]
    problem = _problem(jobs, nodes=count)
    nodes = (
        replace(node, resources={"memmb": int(node.memory_gib * 1024) - draw.randrange(200)})
        for node in problem.nodes
    )
    return replace(problem, nodes=tuple(nodes))


def uneven_and_short(count: int) -> Problem:
    """The same with so much work that machines are bought."""
    return uneven_nodes(count, each=7 * count // 20)


def different_gangs(count: int) -> Problem:
    """As many different gangs as live nodes."""
    return _problem(
        [Job(f"g{i}", {"ncpus": 1 + i % 4, "memmb": 256 + i}, node_count=2 + i % 3) for i in range(count)],
        nodes=count,
    )


LARGE: Sequence[tuple[str, Callable[[int], Problem], tuple[int, ...], float]] = (
    ("distinct kinds", distinct_kinds, (2500, 5000, 10_000), 1.0),
    ("distinct kinds", distinct_kinds, (5000, 10_000, 20_000), 2.5),
    ("live nodes of 200 sizes, 500 kinds", many_of_each, (2500, 5000, 10_000), 0.5),
    ("live nodes that differ by a few MB", uneven_nodes, (2500, 5000, 10_000), 1.0),
    ("such nodes, and 7 tasks for each", uneven_and_short, (2500, 5000, 10_000), 1.0),
    ("different gangs over as many nodes", different_gangs, (250, 500, 1000), 0.15),
)


TARGETS: Sequence[tuple[str, Callable[[], Problem], float | None]] = (
    ("1,000,000 tasks of 50 kinds, 5,000 nodes", a_million_tasks, 0.25),
    ("100,000 jobs of 200 kinds, 1,000 nodes", many_jobs, 1.0),
    ("10,000 jobs of 20 kinds, no nodes", a_cold_start, 0.1),
    ("1,000 jobs of 20 kinds, 5,000 nodes", many_nodes, 0.2),
    ("1,000 jobs of 1,000 kinds, 5,000 nodes", all_different, None),
    ("5,000 nodes that run, 50 queues", a_busy_fleet, None),
    ("1,000 colocated gangs", many_gangs, 0.5),
)


# -- how it is measured


def _timed(name: str, problem: Problem, target: float | None) -> Measurement:
    return Measurement(name=name, metric="plan", value=_seconds(problem), unit="s", target=target)


def _seconds(problem: Problem, times: int = 5) -> float:
    """The best of a few runs: the others measure what else the machine does."""
    return min(_once(lambda: calculate(problem)) for _ in range(times))


def _once(work: Callable[[], object]) -> float:
    gc.collect()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _computed(work: Callable[[], object]) -> float:
    """Processor time."""
    gc.collect()
    began = time.process_time()
    work()
    return time.process_time() - began


def _peak_memory() -> float:
    """Megabytes of a process that makes the largest plan and does nothing else."""
    calculate(a_million_tasks())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _history_update() -> Measurement:
    nodes = _nodes(_buckets(), 5000)
    later = NOW.replace(minute=1)
    some = frozenset(node.id for node in nodes[::2])
    with tempfile.TemporaryDirectory() as folder, SQLiteNodeHistory(Path(folder) / "history.db") as history:
        history.update(NOW, nodes, (), ())
        seconds = _once(lambda: history.update(later, nodes, some, some))
    return Measurement(name="history of 5,000 nodes", metric="update", value=seconds, unit="s", target=0.2)


def _growth() -> Iterator[Measurement]:
    """Exponents of a fitted power law: 1 is linear, 0 is independent."""
    series: Sequence[tuple[str, str, Callable[[int], Problem], Sequence[int], float | None]] = (
        ("jobs of 200 kinds", "jobs", many_jobs, (12_500, 25_000, 50_000, 100_000), 1.05),
        ("tasks of 50 queues", "tasks", lambda n: a_million_tasks(n, 0), (10_000, 100_000, 1_000_000), None),
        ("live nodes", "nodes", many_nodes, (1250, 2500, 5000, 10_000), None),
        ("kinds of job", "kinds", all_different, (125, 250, 500, 1000), None),
    )
    for name, what, make, sizes, target in series:
        points = [(size, _seconds(make(size))) for size in sizes]
        yield Measurement(
            name=name, metric=f"exponent in {what}", value=exponent(points), unit="", target=target
        )


def _large() -> Iterator[Measurement]:
    """Processor time of what grows worst, once each, and how it grows."""
    for name, work, target in (
        (TARGETS[0][0], partial(calculate, a_million_tasks()), 0.1),
        ("100,000 separate jobs made", many_jobs_made, 0.5),
    ):
        took = min(_computed(work) for _ in range(3))
        yield Measurement(name=name, metric="plan, processor time", value=took, unit="s", target=target)
    for name, make, sizes, target in LARGE:
        points = []
        for size in sizes:
            points.append((size, _computed(partial(calculate, make(size)))))
        took = points[-1][1]
        yield Measurement(name=f"{sizes[-1]:,} {name}", metric="plan", value=took, unit="s", target=target)
        name = f"{name} up to {sizes[-1]:,}"
        yield Measurement(name=name, metric="exponent", value=exponent(points), unit="", target=None)


# -- the cloud


def _kinds(count: int) -> list[dict[str, object]]:
    draw = random.Random(count)
    return [
        {"ncpus": draw.choice((1, 1, 2, 3, 4, 8)), "memmb": draw.randrange(256, 8192, 16)}
        for _ in range(count)
    ]


def _buckets() -> tuple[Bucket, ...]:
    """50 sizes of 2 to 64 vCPUs with 2, 4 or 8 GiB each, in three nodearrays."""
    made = []
    for i in range(50):
        vcpus = 2 ** (1 + i % 6)
        memory = vcpus * (2.0, 4.0, 8.0)[i // 6 % 3]
        pools = {f"bucket/{i:02}": vcpus, f"nodearray/{i % 3}": vcpus, "regional": vcpus, "cluster": vcpus}
        made.append(
            Bucket(
                id=f"{i:02}",
                nodearray=f"array{i % 3}",
                vm_size=f"Standard_S{i}",
                vcpu_count=vcpus,
                pcpu_count=vcpus // 2,
                memory_gib=memory,
                price_per_hour=vcpus * 0.035 + memory * 0.004 + i * 0.0001,
                pools=pools,
                position=i,
            )
        )
    return tuple(made)


def _pools(buckets: Sequence[Bucket]) -> tuple[Pool, ...]:
    kinds = {"bucket": PoolKind.BUCKET, "nodearray": PoolKind.NODEARRAY, "regional": PoolKind.REGIONAL}
    names = sorted({name for bucket in buckets for name in bucket.pools})
    return tuple(
        Pool(name=name, kind=kinds.get(name.partition("/")[0], PoolKind.CLUSTER), nodes=PLENTY, cores=PLENTY)
        for name in names
    )


def _nodes(buckets: Sequence[Bucket], count: int) -> tuple[Node, ...]:
    def node(i: int, bucket: Bucket) -> Node:
        return Node(
            id=NodeId(f"id-{i}"),
            name=f"{bucket.nodearray}-{i}",
            nodearray=bucket.nodearray,
            vm_size=bucket.vm_size,
            bucket_id=bucket.id,
            state=NodeState.READY,
            status="Ready",
            hostname=f"host-{i}",
            vcpu_count=bucket.vcpu_count,
            pcpu_count=bucket.pcpu_count,
            memory_gib=bucket.memory_gib,
        )

    return tuple(node(i, buckets[i % len(buckets)]) for i in range(count))


def _problem(jobs: Sequence[Job], nodes: int = 0) -> Problem:
    buckets = _buckets()
    problem = Problem(jobs=tuple(jobs), buckets=buckets, pools=_pools(buckets), now=NOW, policy=GREEDY)
    return replace(problem, nodes=_nodes(buckets, nodes))
