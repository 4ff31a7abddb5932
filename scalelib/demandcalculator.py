"""The demand calculator: jobs go in, a demand comes out, and on request it is carried out."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from scalelib.amounts import shown
from scalelib.clouds import open_provider
from scalelib.demand import Demand, NodeVerdict
from scalelib.errors import InvalidConfig, InvalidJob
from scalelib.history import MemoryNodeHistory, NodeHistory, SQLiteNodeHistory, seen_booting
from scalelib.hostnames import by_host, short_name
from scalelib.job import Job
from scalelib.node import Node, NodeId, NodeState, SchedulerNode
from scalelib.planner import Problem, calculate
from scalelib.policy import Policy
from scalelib.provider import Cloud, LaunchRequest, LaunchResult, NodeOutcome, Provider
from scalelib.readonly import ReadOnly


def new_demand_calculator(
    config: Mapping[str, Any],
    existing_nodes: Iterable[SchedulerNode | str] | None = None,
    node_history: NodeHistory | None = None,
    provider: Provider | None = None,
    now: datetime | None = None,
) -> DemandCalculator:
    """A calculator for the cluster of this configuration.

    `existing_nodes`: the scheduler's hosts. Those that are nodes of the cloud add what they know to them; the
    others are unmanaged: filled first, never deleted. Without a `provider`, the entry point named by the
    configuration (`cyclecloud` unless set) makes one; with `read_only`, it launches and ends nothing. Without
    `node_history`, the file named by `nodehistorydb` is used, or a history that is forgotten with the
    process. Without `now`, the clock is read, once.
    """
    policy = Policy.from_config(config)
    provider = provider if provider is not None else open_provider(config)
    now = now or datetime.now(UTC)
    if now.tzinfo is None:
        raise InvalidConfig(f"now: {now!r} has no time zone: pass datetime.now(UTC)")
    if config.get("read_only"):
        provider = ReadOnly(provider)
    if node_history is None:
        node_history = _history(config)
    return DemandCalculator(provider, policy, [_host(h) for h in existing_nodes or ()], node_history, now)


def _history(config: Mapping[str, Any]) -> NodeHistory:
    path = config.get("nodehistorydb")
    return MemoryNodeHistory() if path is None else SQLiteNodeHistory(path)


def _host(value: SchedulerNode | str) -> SchedulerNode:
    if isinstance(value, SchedulerNode):
        return value
    if isinstance(value, str) and value:
        return SchedulerNode(value)
    raise InvalidConfig(f"existing_nodes: {shown(value)} is no host: pass SchedulerNode(...) or a host name")


class DemandCalculator:
    """Collects jobs, makes a plan of them, carries it out on request.

    Nothing is launched or deleted except by `bootup` and `delete`.
    """

    def __init__(
        self,
        provider: Provider,
        policy: Policy,
        hosts: Sequence[SchedulerNode],
        history: NodeHistory,
        now: datetime,
    ) -> None:
        self.provider = provider
        self.policy = policy
        self.history = history
        self.now = now
        self.cloud: Cloud = provider.cloud()
        self._nodes, self._closed = merge(self.cloud.nodes, hosts)
        self._jobs: list[Job] = []
        self._demand: Demand | None = None
        self._run = uuid.uuid4().hex

    # -- jobs

    def add_job(self, job: Job) -> None:
        """Take one more job into account."""
        if not isinstance(job, Job):
            raise InvalidJob(f"{shown(job)} is no job: pass Job(name, constraints=...)")
        self._jobs.append(job)
        self._demand = None

    def add_jobs(self, jobs: Iterable[Job]) -> None:
        """Take more jobs into account."""
        for job in jobs:
            self.add_job(job)

    # -- the plan

    @property
    def problem(self) -> Problem:
        """What the plan is made from."""
        return Problem(
            jobs=tuple(self._jobs),
            nodes=self._nodes,
            buckets=self.cloud.buckets,
            pools=self.cloud.pools,
            history=seen_booting(self.history.times(), self._nodes, self.now),
            policy=self.policy,
            now=self.now,
            closed=self._closed,
        )

    def get_demand(self) -> Demand:
        """The plan for the jobs added so far. Nothing is written down, so this may be asked at any time."""
        if self._demand is None:
            self._demand = calculate(self.problem)
        return self._demand

    def finish(self) -> Demand:
        """The plan, and what it means for the nodes' clocks noted in the history."""
        demand, unsure = self.get_demand(), self._perhaps_running()
        self.history.update(
            self.now,
            [verdict.node for verdict in demand.nodes],
            unsure | {verdict.node.id for verdict in demand.nodes if verdict.matched},
            frozenset(verdict.node.id for verdict in demand.nodes if verdict.needed),
        )
        return demand

    def find_unmatched_for(self, at_least: float | timedelta = 0) -> list[NodeVerdict]:
        """Nodes that nothing runs on or is planned for, and that have been so for `at_least` seconds.

        Only nodes that are ready and ours to end; not those that are to be kept, or that share the name of a
        host where work runs.
        """
        least, unsure = _duration(at_least), self._perhaps_running()
        return [
            verdict
            for verdict in self.get_demand().nodes
            if verdict.idle_for is not None
            and verdict.idle_for >= least
            and verdict.node.managed
            and not verdict.node.keep_alive
            and verdict.node.state is NodeState.READY
            and verdict.node.id not in unsure
        ]

    def _perhaps_running(self) -> frozenset[NodeId]:
        """Nodes that claim the name of a host where work runs, and are not alone in that: a name may come
        back before the node that had it is gone. Which of them it is, is not known: unknown is not idle.
        """
        hosts = {short_name(host) for job in self._jobs for host in job.executing_hostnames}
        unsure = hosts - by_host(self._nodes).keys()
        return frozenset(
            node.id
            for node in self._nodes
            if any(name and short_name(name) in unsure for name in (node.hostname, node.private_ip))
        )

    def find_booting(self, at_least: float | timedelta = 0) -> list[NodeVerdict]:
        """Nodes that have been booting for `at_least` seconds or longer, this time."""
        least, times = _duration(at_least), self.problem.history
        return [
            verdict
            for verdict in self.get_demand().nodes
            if verdict.node.is_booting
            and verdict.node.managed
            and self.now - (times[verdict.node.id].boot_began if verdict.node.id in times else self.now)
            >= least
        ]

    # -- carrying it out

    def bootup(self) -> list[LaunchResult]:
        """Launch what the plan says. Asked again, nothing is launched twice."""
        return [
            self.provider.launch(
                LaunchRequest(
                    request_id=f"{self._run}-{number}",
                    nodearray=launch.nodearray,
                    vm_size=launch.vm_size,
                    count=launch.count,
                    spot=launch.spot,
                    placement_group=launch.placement_group,
                )
            )
            for number, launch in enumerate(self.get_demand().launches)
        ]

    def delete(self, nodes: Iterable[NodeVerdict | Node]) -> tuple[NodeOutcome, ...]:
        """End these nodes now. Refuses one that work runs on, that is not ours, or that is to be kept."""
        running = {verdict.node.id for verdict in self.get_demand().nodes if verdict.running}
        unsure = self._perhaps_running()
        chosen: list[NodeId] = []
        for each in nodes:
            node = each.node if isinstance(each, NodeVerdict) else each
            for wrong, why in (
                (not node.managed, "only the scheduler knows it"),
                (node.keep_alive, "it is to be kept"),
                (node.id in running, "work runs on it"),
                (node.id in unsure, "work runs on a host of its name"),
            ):
                if wrong:
                    raise InvalidConfig(f"delete: node {node.name!r} is not to be ended: {why}")
            chosen.append(node.id)
        return self.provider.terminate(chosen) if chosen else ()


def _duration(value: float | timedelta) -> timedelta:
    return value if isinstance(value, timedelta) else timedelta(seconds=value)


def merge(
    nodes: Sequence[Node], hosts: Iterable[SchedulerNode]
) -> tuple[tuple[Node, ...], frozenset[NodeId]]:
    """The cloud's nodes with what the scheduler knows of them, and its other hosts as unmanaged nodes.

    Also the ids of those that are closed. Hosts are matched by short host name or by address, in any case.
    """
    names = by_host(nodes)
    told: dict[NodeId, SchedulerNode] = {}
    others: dict[str, SchedulerNode] = {}
    for host in hosts:
        node_id = names.get(short_name(host.hostname))
        if node_id is None and host.private_ip:
            node_id = names.get(short_name(host.private_ip))
        if node_id is not None:
            told[node_id] = host
        else:
            others[short_name(host.hostname)] = host
    merged = [
        replace(node, resources={**node.resources, **told[node.id].resources}) if node.id in told else node
        for node in nodes
    ]
    unmanaged = [_unmanaged(host) for host in others.values()]
    closed = {node_id for node_id, host in told.items() if host.closed}
    closed |= {node.id for node, host in zip(unmanaged, others.values(), strict=True) if host.closed}
    return (*merged, *unmanaged), frozenset(closed)


def _unmanaged(host: SchedulerNode) -> Node:
    """A host of its own: one vCPU and no memory unless it says otherwise."""
    vcpus = host.resources.get("ncpus", 1)
    return Node(
        id=NodeId(f"host:{short_name(host.hostname)}"),
        name=host.hostname,
        nodearray="",
        vm_size="unknown",
        bucket_id="",
        state=NodeState.READY,
        status=host.state,
        hostname=host.hostname,
        private_ip=host.private_ip,
        managed=False,
        vcpu_count=int(vcpus) if isinstance(vcpus, int | float) and vcpus >= 1 else 1,
        pcpu_count=1,
        resources=host.resources,
    )
