"""What holds of every plan, whatever the jobs, nodes and limits."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scalelib.amounts import minus, total
from scalelib.bucket import Bucket
from scalelib.constraints.alternatives import Sharing, alternatives
from scalelib.demand import Demand
from scalelib.job import Job
from scalelib.node import Node, NodeId, NodeState
from scalelib.planner import Problem, calculate
from scalelib.policy import Policy
from tests.unit.scalelib.problems import SIZES, jobs, worlds

pytestmark = [pytest.mark.filterwarnings("error"), pytest.mark.many_worlds]
FEW = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def plans(make_world: Callable[..., Any]) -> st.SearchStrategy[Problem]:
    """Problems with everything in them; the greedy packer decides, as the solver has tests of its own."""
    world = make_world()
    return st.builds(
        lambda made, parts: Problem(jobs=made, now=world.now, policy=Policy(solver=False), **parts),
        jobs(),
        worlds(world),
    )


def machines(
    problem: Problem, demand: Demand
) -> Iterator[tuple[Node | Bucket, dict[str, int], dict[str, int]]]:
    """Each machine with (all slots on it, those of them that run there already)."""
    by_id = {bucket.id: bucket for bucket in problem.buckets}
    for verdict in demand.nodes:
        yield verdict.node, dict(verdict.jobs), dict(verdict.running)
    for launch in demand.launches:
        for _, here in launch.planned():
            yield by_id[launch.bucket_id], dict(here), {}


def has(machine: Node | Bucket) -> dict[str, int]:
    return total({"ncpus": machine.vcpu_count, "ngpus": machine.gpu_count, "memgb": machine.memory_gib})


def smallest_needs(job: Job) -> dict[str, int]:
    """What a slot takes at the least, whichever branch it is in."""
    ways = alternatives(job.constraints)
    counters = {c for way in ways for c in way.needs}
    return {c: min(way.needs.get(c, 0) for way in ways) for c in counters}


def left_over(demand: Demand) -> dict[str, int]:
    """Unserved slots by job."""
    found: Counter[str] = Counter()
    for each in demand.unserved:
        found[each.job] += each.count
    return dict(found)


def test_no_limit_of_any_pool_is_exceeded(plans: st.SearchStrategy[Problem]) -> None:
    @FEW
    @given(plans)
    def rule(problem: Problem) -> None:
        demand = calculate(problem)
        nodes: Counter[str] = Counter()
        cores: Counter[str] = Counter()
        groups: Counter[tuple[str, str]] = Counter()
        by_id = {bucket.id: bucket for bucket in problem.buckets}
        for launch in demand.launches:
            bucket = by_id[launch.bucket_id]
            assert bucket.valid
            assert not bucket.set_aside
            assert launch.count == sum(count for count, _ in launch.per_node) == len(launch.names)
            if launch.placement_group:
                assert launch.placement_group not in bucket.failing_groups
                groups[(bucket.id, launch.placement_group)] += launch.count
            for pool, each in bucket.pools.items():
                nodes[pool] += launch.count
                cores[pool] += launch.count * each
        for pool in problem.pools:
            assert pool.nodes is None or nodes[pool.name] <= pool.nodes
            assert pool.cores is None or cores[pool.name] <= pool.cores
        for (bucket_id, group), count in groups.items():
            there = sum(n.bucket_id == bucket_id and n.placement_group == group for n in problem.nodes)
            there = max(there, by_id[bucket_id].placement_groups.get(group, 0))
            assert count + there <= by_id[bucket_id].max_placement_group_size

    rule()


def test_no_machine_is_filled_beyond_what_it_has(plans: st.SearchStrategy[Problem]) -> None:
    @FEW
    @given(plans)
    def rule(problem: Problem) -> None:
        by_name = {job.name: job for job in problem.jobs}
        for machine, here, running in machines(problem, calculate(problem)):
            if here == running:
                continue  # what others started by hand may be more than fits
            left = has(machine)
            for name, slots in here.items():
                left = minus(left, smallest_needs(by_name[name]), slots)
            new = {name for name, slots in here.items() if slots > running.get(name, 0)}
            counters = {c for name in new for c, need in smallest_needs(by_name[name]).items() if need}
            assert all(left.get(c, 0) >= 0 for c in counters), (machine, here)

    rule()


def test_exclusive_work_is_really_alone(plans: st.SearchStrategy[Problem]) -> None:
    @FEW
    @given(plans)
    def rule(problem: Problem) -> None:
        by_name = {job.name: job for job in problem.jobs}
        for _, here, running in machines(problem, calculate(problem)):
            for name, slots in here.items():
                job = by_name[name]
                sharing = Sharing.NOBODY if job.exclusive else alternatives(job.constraints)[0].sharing
                if sharing is Sharing.ANYBODY or name in running:
                    continue
                assert set(here) == {name}
                assert sharing is Sharing.SAME_JOB or slots == 1

    rule()


def test_every_slot_is_placed_once_or_unserved_with_a_reason(plans: st.SearchStrategy[Problem]) -> None:
    @FEW
    @given(plans)
    def rule(problem: Problem) -> None:
        demand = calculate(problem)
        placed: Counter[str] = Counter()
        for _, here, running in machines(problem, demand):
            placed.update({name: slots - running.get(name, 0) for name, slots in here.items()})
        unserved = Counter({})
        for each in demand.unserved:
            unserved[each.job] += each.count
            assert each.count > 0
            assert each.detail
        for job in problem.jobs:
            per_slot = job.node_count if job.node_count else 1
            wanted = 0 if job.executing_hostnames else job.iterations
            assert placed[job.name] + unserved[job.name] * per_slot == wanted * per_slot, job

    rule()


def test_no_gang_is_half_placed_and_its_nodes_differ(plans: st.SearchStrategy[Problem]) -> None:
    @FEW
    @given(plans)
    def rule(problem: Problem) -> None:
        demand = calculate(problem)
        for job in problem.jobs:
            if job.node_count < 2 or job.executing_hostnames:
                continue
            on = [here[job.name] for _, here, _ in machines(problem, demand) if job.name in here]
            gangs = sum(on) // job.node_count
            assert sum(on) == gangs * job.node_count
            # A gang has one unit on each of its nodes, so no node holds more units than there are gangs.
            assert all(slots <= gangs for slots in on)
            assert not on or len(on) >= job.node_count

    rule()


def test_a_colocated_gang_is_in_one_placement_group(plans: st.SearchStrategy[Problem]) -> None:
    @FEW
    @given(plans)
    def rule(problem: Problem) -> None:
        demand = calculate(problem)
        for job in problem.jobs:
            if not job.colocated or job.node_count < 2 or job.executing_hostnames:
                continue
            groups: Counter[tuple[str, str | None]] = Counter()
            for verdict in demand.nodes:
                groups[(verdict.node.bucket_id, verdict.node.placement_group)] += verdict.jobs.get(
                    job.name, 0
                )
            for launch in demand.launches:
                groups[(launch.bucket_id, launch.placement_group)] += launch.jobs.get(job.name, 0)
            for (_, group), units in groups.items():
                assert units % job.node_count == 0
                assert not units or group is not None

    rule()


def test_no_work_goes_to_nodes_that_take_none(plans: st.SearchStrategy[Problem]) -> None:
    @FEW
    @given(plans)
    def rule(problem: Problem) -> None:
        for verdict in calculate(problem).nodes:
            if verdict.node.state.is_failed or verdict.node.state.is_leaving:
                assert verdict.jobs == verdict.running
                assert not verdict.needed

    rule()


def test_licences_are_never_oversold(plans: st.SearchStrategy[Problem]) -> None:
    @FEW
    @given(plans)
    def rule(problem: Problem) -> None:
        demand = calculate(problem)
        unserved: Counter[str] = Counter()
        for each in demand.unserved:
            unserved[each.job] += each.count
        licensed = [job for job in problem.jobs if alternatives(job.constraints)[0].shared]
        running = sum(job.iterations for job in licensed if job.executing_hostnames)
        new = sum(job.iterations - unserved[job.name] for job in licensed if not job.executing_hostnames)
        assert new == 0 or new + running <= 5

    rule()


def test_the_order_of_jobs_nodes_buckets_and_pools_does_not_matter(
    plans: st.SearchStrategy[Problem],
) -> None:
    @FEW
    @given(plans, st.integers())
    def rule(problem: Problem, seed: int) -> None:
        shuffled = random.Random(seed)
        parts = {}
        for name in ("jobs", "buckets", "pools"):
            values = list(getattr(problem, name))
            shuffled.shuffle(values)
            parts[name] = tuple(values)
        nodes = list(problem.nodes)
        shuffled.shuffle(nodes)
        one, other = calculate(problem), calculate(replace(problem, nodes=tuple(nodes), **parts))
        assert one.launches == other.launches
        assert one.unserved == other.unserved
        assert sorted(one.nodes, key=lambda v: v.node.id) == sorted(other.nodes, key=lambda v: v.node.id)

    rule()


def test_a_job_more_never_lowers_what_is_served_of_higher_priority(
    plans: st.SearchStrategy[Problem],
) -> None:
    @FEW
    @given(plans, jobs(prefix="more", most=2, running=False))
    def rule(problem: Problem, more: tuple[Job, ...]) -> None:
        lower = tuple(Job(**{**job.to_json(), "priority": -5}) for job in more)
        before = left_over(calculate(problem))
        after = left_over(calculate(replace(problem, jobs=problem.jobs + lower)))
        assert {name: count for name, count in after.items() if not name.startswith("more")} == before

    rule()


def test_running_work_alone_never_launches(plans: st.SearchStrategy[Problem]) -> None:
    @FEW
    @given(plans)
    def rule(problem: Problem) -> None:
        running = tuple(job for job in problem.jobs if job.executing_hostnames)
        demand = calculate(replace(problem, jobs=running))
        assert demand.launches == ()
        assert demand.unserved == ()

    rule()


def carried_out(problem: Problem, demand: Demand) -> Problem:
    """The same problem a moment later: what was to be launched is booting."""
    by_id = {bucket.id: bucket for bucket in problem.buckets}
    new = []
    pools = {pool.name: pool for pool in problem.pools}
    for launch in demand.launches:
        bucket = by_id[launch.bucket_id]
        for name in launch.names:
            new.append(
                Node(
                    id=NodeId(name),
                    name=name,
                    nodearray=bucket.nodearray,
                    vm_size=bucket.vm_size,
                    bucket_id=bucket.id,
                    state=NodeState.ACQUIRING,
                    status="Acquiring",
                    placement_group=launch.placement_group,
                    vcpu_count=bucket.vcpu_count,
                    pcpu_count=bucket.pcpu_count,
                    gpu_count=bucket.gpu_count,
                    memory_gib=bucket.memory_gib,
                )
            )
            for pool_name, cores in bucket.pools.items():
                pool = pools[pool_name]
                pools[pool_name] = replace(
                    pool,
                    nodes=None if pool.nodes is None else pool.nodes - 1,
                    cores=None if pool.cores is None else pool.cores - cores,
                )
    return replace(problem, nodes=problem.nodes + tuple(new), pools=tuple(pools.values()))


def test_with_the_plan_carried_out_nothing_more_is_launched(plans: st.SearchStrategy[Problem]) -> None:
    """Work that waits while its nodes boot must not buy more of them at each pass.

    Fenced nodes are left out: they come after booting ones, so work that was to go there may move to a node
    that was bought for somebody else.
    """

    @FEW
    @given(plans)
    def rule(problem: Problem) -> None:
        problem = replace(problem, closed=frozenset())
        first = calculate(problem)
        second = calculate(carried_out(problem, first))
        if not first.unserved:
            assert second.launches == ()
            assert second.unserved == ()

    rule()


@pytest.mark.parametrize("seed", [1, 4])
def test_a_large_tight_plan_is_recognised_while_it_boots(make_world: Callable[..., Any], seed: int) -> None:
    """Many kinds packed to the last slot, some nodes already there: the next looks buy nothing more."""
    draw = random.Random(seed)
    world = make_world(most_nodes=1000)
    waiting = tuple(
        Job(
            f"j{i}",
            {"ncpus": draw.choice([0.5, 1, 2, 3, 4]), "memgb": draw.choice([1, 2, 3, 5, 7])},
            iterations=draw.randrange(1, 60),
        )
        for i in range(25)
    )
    nodes = tuple(world.node(i, draw.choice(SIZES)) for i in range(1, 15))
    problem = world.problem(waiting, nodes, policy=Policy(solver=False))
    first = calculate(problem)
    assert first.new_count > 50
    problem = carried_out(problem, first)
    for _ in range(2):
        again = calculate(problem)
        assert again.launches == ()
        assert again.unserved == ()
