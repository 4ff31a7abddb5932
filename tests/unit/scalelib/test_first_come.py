"""First come, first served within a priority, and no kind starves: a full cluster, in virtual time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from scalelib import demandcalculator
from scalelib.demand import NodeReason
from scalelib.job import Job
from scalelib.meant import noted, waiting_for
from scalelib.planning.holding import HOLD

MINUTE = timedelta(minutes=1)


@dataclass
class Work:
    """One job on its way."""

    job: Job
    came: int
    runs: int
    began: int | None = None
    hosts: tuple[str, ...] = ()


class Site:
    """Nodes of one size, at the limit of their cluster. A minute a pass; what is planned on nodes that are
    up begins at once, and runs for its time.
    """

    def __init__(self, world: Any, nodes: int, size: str = "F2") -> None:
        self.world = replace(world, sizes=(size,), most_nodes=0)
        self.nodes = [world.node(i, size) for i in range(1, nodes + 1)]
        self.work: list[Work] = []
        self.fact: dict[str, Any] | None = None
        self.minute = 0

    def send(self, name: str, runs: int, **needs: Any) -> None:
        self.work.append(Work(Job(f"{name} {self.minute}", **needs), self.minute, runs))

    def step(self) -> Any:
        now = self.world.now + self.minute * MINUTE
        for each in list(self.work):
            if each.began is not None and self.minute - each.began >= each.runs:
                self.work.remove(each)
        jobs = [
            Job(w.job.name, w.job.constraints, 1, w.job.node_count, executing_hostnames=w.hosts)
            if w.began is not None
            else w.job
            for w in self.work
        ]
        waited = waiting_for(self.fact, now)
        demand = self.world.plan(jobs, self.nodes, now=now, in_line=True, waited=waited)
        self.fact = noted(demand, launches=True, now=now, waited=waited)
        for each in self.work:
            hosts = tuple(v.node.hostname for v in demand.nodes if each.job.name in v.jobs)
            if each.began is None and len(hosts) == max(each.job.node_count, 1):
                each.began, each.hosts = self.minute, hosts
        self.minute += 1
        return demand


def waits_at_the_head(sent: list[Work]) -> Iterator[int]:
    """For each job that began: how many minutes after all that came before it had begun."""
    head = 0
    for each in sent:
        if each.began is None:
            return
        yield each.began - max(head, each.came)
        head = max(head, each.began)


@pytest.mark.parametrize(
    ("gangs", "singles"),
    [
        (1, 4),  # a gang every minute: far more than there is room for
        (12, 1),  # singles all the time
        (1, 1),
    ],
)
def test_no_kind_starves_and_nobody_is_passed_for_long(world: Any, gangs: int, singles: int) -> None:
    """Four machines. A gang takes three of them for five minutes, a single one for four; together they are
    more than fits, so the line grows. The first in it waits for what runs then, and for nothing else: no
    longer than the longest run time.
    """
    site, sent = Site(world, 4), []
    for minute in range(100):
        if minute % gangs == 0:
            site.send("gang", 5, constraints={"ncpus": 2}, node_count=3)
        if minute % singles == 0:
            site.send("single", 4, constraints={"ncpus": 2})
        sent += [each for each in site.work if each.came == minute]
        site.step()
    waits = list(waits_at_the_head(sent))
    assert max(waits) <= 5
    served = [each.job.name.split()[0] for each in sent[: len(waits)]]
    assert min(served.count("gang"), served.count("single")) >= 4


def test_large_machines_are_kept_for_large_work_as_for_gangs(world: Any) -> None:
    """Small jobs would nibble at every machine, and none would ever be empty."""
    site = Site(world, 2, "E8")
    for minute in range(60):
        for i in range(3):
            site.send(f"small {i}", 5, constraints={"ncpus": 1})
        if minute == 20:
            site.send("large", 5, constraints={"ncpus": 8})
            (large,) = [each for each in site.work if each.job.name.startswith("large")]
        site.step()
    assert large.began is not None
    assert large.began - large.came <= 6


def test_what_never_ends_does_not_keep_others_waiting_for_ever(world: Any) -> None:
    """A gang that needs all machines, and a service on one of them: the others go on half of the time."""
    site, done = Site(world, 3), 0
    site.send("service", 10**6, constraints={"ncpus": 2})
    site.step()
    site.send("gang", 5, constraints={"ncpus": 2}, node_count=3)
    for _ in range(int(4 * HOLD / MINUTE)):
        site.send("single", 1, constraints={"ncpus": 2})
        demand = site.step()
        done += sum(each.began == site.minute - 1 for each in site.work if "single" in each.job.name)
        held = [verdict for verdict in demand.nodes if verdict.held_for]
        assert all(verdict.needed and verdict.idle_for is None for verdict in held)
        assert all(
            verdict.reason in (NodeReason.HELD, NodeReason.RUNNING, NodeReason.MATCHED) for verdict in held
        )
    assert done >= HOLD / MINUTE


def test_what_came_first_has_the_room_there_is(world: Any) -> None:
    """In the order of the jobs, whatever their names; without a line, the order does not matter."""
    node = world.node(1)
    jobs = [Job("z", {"ncpus": 2}), Job("a", {"ncpus": 1, "memgb": 1}), Job("b", {"ncpus": 2})]
    for order in (jobs, jobs[::-1], jobs[1:] + jobs[:1]):
        demand = replace(world, most_nodes=0).plan(order, [node], in_line=True)
        assert next(iter(demand.nodes[0].jobs)) == order[0].name
    usual = [dict(replace(world, most_nodes=0).plan(o, [node]).nodes[0].jobs) for o in (jobs, jobs[::-1])]
    assert usual[0] == usual[1]


def test_a_higher_priority_does_not_wait_in_the_line(world: Any) -> None:
    jobs = [
        Job("first", {"ncpus": 2}),
        Job("gang", {"ncpus": 1}, node_count=1),
        Job("high", {"ncpus": 2}, priority=1),
    ]
    demand = replace(world, most_nodes=0).plan(jobs, [world.node(1)], in_line=True)
    assert dict(demand.nodes[0].jobs) == {"high": 1}


def test_where_all_has_room_the_line_changes_nothing(world: Any) -> None:
    jobs = [
        Job("g", {"ncpus": 2}, node_count=2),
        Job("s", {"ncpus": 1}, 5),
        Job("e", {"memgb": 1}, exclusive=True),
    ]
    assert world.plan(jobs, in_line=True) == world.plan(jobs)


def test_who_is_served_is_decided_in_line_and_on_what_by_money(world: Any) -> None:
    """Turn by turn, small machines would be bought for the first; together, they share a larger one."""
    world = replace(world, most_nodes=1)
    jobs = [Job("a", {"ncpus": 1}), Job("b", {"memgb": 60}), Job("c", {"ncpus": 4}), Job("d", {"memgb": 60})]
    demand = world.plan(jobs, in_line=True)
    assert {name for launch in demand.launches for name in launch.jobs} >= {"a", "b", "c"}
    assert [each.job for each in demand.unserved] == ["d"]
    assert demand.price_added == pytest.approx(0.60)


def test_in_the_library_the_order_of_submission_decides(world: Any, make_provider: Any) -> None:
    provider = make_provider(replace(world, most_nodes=0), [world.node(1)])
    jobs = [
        Job("z", {"ncpus": 2}),
        Job("a", {"ncpus": 2}),
        Job("g", {"ncpus": 1, "memgb": 1}, exclusive=True),
    ]
    for order in (jobs, jobs[::-1]):
        dcalc = demandcalculator.new_demand_calculator({}, provider=provider, now=world.now)
        dcalc.add_jobs(order)
        assert dict(dcalc.finish().nodes[0].jobs) == {order[0].name: 1}
