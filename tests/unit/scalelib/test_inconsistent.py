"""In the library: a host where work runs is never idle, and what contradicts itself ends nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from scalelib import Job, MemoryNodeHistory, NodeState, SchedulerNode, demandcalculator
from scalelib.errors import CloudGarbled, InvalidConfig, InvalidInput, InvalidJob


@pytest.fixture
def look(world: Any, make_provider: Callable[..., Any]) -> Callable[..., Any]:
    """A calculator after nodes were idle for ten minutes, but for what the jobs say."""
    history = MemoryNodeHistory()

    def make(nodes: list[Any], *jobs: Job, hosts: tuple[Any, ...] = ()) -> Any:
        provider = make_provider(world, nodes)
        for seconds in (0, 600):
            dcalc = demandcalculator.new_demand_calculator(
                {}, hosts, history, provider, world.now + timedelta(seconds=seconds)
            )
            if seconds:
                dcalc.add_jobs(jobs)
            dcalc.finish()
        return dcalc

    return make


def idle(dcalc: Any) -> list[str]:
    return [verdict.node.name for verdict in dcalc.find_unmatched_for(300)]


@pytest.mark.parametrize(
    ("hosts", "more"),
    [
        (["IP-1.example.com"], {}),
        (["10.0.0.1"], {}),
        (["ip-1", "ip-2"], {}),  # more hosts than slots
        (["ip-1", "ip-1", "ip-2"], {"iterations": 2}),
        (["ip-1"], {"constraints": {"ncpus": 64}}),  # more than the node has
        (["ip-1"], {"constraints": {"never": "held"}}),
        (["ip-1", "ip-2"], {"node_count": 2}),
        (["ip-1", "ip-2"], {"node_count": 2, "exclusive": True}),
    ],
)
def test_a_host_where_work_runs_is_never_idle(
    world: Any, look: Callable[..., Any], hosts: list[str], more: dict[str, Any]
) -> None:
    nodes = [replace(world.node(i), private_ip=f"10.0.0.{i}") for i in (1, 2, 3)]
    dcalc = look(nodes, Job("r", executing_hostnames=hosts, **more))
    assert idle(dcalc) == ["worker-2", "worker-3"][len({h.lower() for h in hosts}) - 1 :]


@pytest.mark.parametrize("named", [None, "other"])
def test_while_work_runs_on_a_host_that_nobody_knows_nothing_that_is_up_is_ended(
    world: Any, look: Callable[..., Any], named: str | None
) -> None:
    """The node has no name yet, or goes by another."""
    nodes = [replace(world.node(1), hostname=named), world.node(2, state=NodeState.FAILED)]
    job = Job("r", executing_hostnames=["elsewhere"])
    dcalc = look(nodes, job)
    with pytest.raises(InvalidJob, match=r"'r' runs on 'elsewhere'.*existing_nodes"):
        dcalc.find_unmatched_for(300)
    with pytest.raises(InvalidConfig, match="'elsewhere'"):
        dcalc.delete(dcalc.cloud.nodes[:1])
    assert [outcome.ok for outcome in dcalc.delete(dcalc.cloud.nodes[1:])] == [True]
    # The way out: the scheduler knows it.
    assert idle(look(nodes, job, hosts=("elsewhere",))) == ["worker-1"]


@pytest.mark.parametrize("hosts", [["ip-1"], ["ip-1", "IP-1"], ["a", "b", "c"]])
def test_a_gang_names_all_of_its_hosts(world: Any, look: Callable[..., Any], hosts: list[str]) -> None:
    with pytest.raises(InvalidJob, match="name every host"):
        look([world.node(1)], Job("g", node_count=2, executing_hostnames=hosts))


def test_hosts_that_contradict_each_other_are_refused(world: Any, look: Callable[..., Any]) -> None:
    nodes = [replace(world.node(i), private_ip=f"10.0.0.{i}") for i in (1, 2)]
    for hosts, words in (
        ((SchedulerNode("ip-1"), SchedulerNode("IP-1", {"ncpus": 1})), "are one host"),
        ((SchedulerNode("desk"), SchedulerNode("desk.example.com", closed=True)), "are one host"),
        ((SchedulerNode("ip-1", private_ip="10.0.0.2"),), "another by its address"),
    ):
        with pytest.raises(InvalidConfig, match=words):
            look(nodes, hosts=hosts)
    look(nodes, hosts=("ip-1", "IP-1.example.com"))  # the same, said twice
    with pytest.raises(CloudGarbled, match="two nodes by one id"):
        look([world.node(1), world.node(1)])


def test_a_node_of_another_look_is_not_ended(world: Any, look: Callable[..., Any]) -> None:
    dcalc = look([replace(world.node(1), keep_alive=True)])
    with pytest.raises(InvalidConfig, match="none that was seen"):
        dcalc.delete([world.node(2)])
    with pytest.raises(InvalidConfig, match="to be kept"):
        dcalc.delete([world.node(1)])  # whatever the value says that was handed in


@pytest.mark.parametrize("least", [-1, float("nan"), True, "300", lambda node: None])
def test_a_time_that_is_none_is_refused(world: Any, look: Callable[..., Any], least: Any) -> None:
    with pytest.raises(InvalidInput, match="at_least"):
        look([world.node(1)]).find_unmatched_for(least)
