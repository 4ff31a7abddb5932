"""The demand calculator: jobs go in, a demand comes out, and on request it is carried out."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from scalelib.amounts import shown
from scalelib.clouds import open_provider
from scalelib.demand import Demand, NodeVerdict
from scalelib.errors import CloudGarbled, InvalidConfig, InvalidInput, InvalidJob
from scalelib.history import MemoryNodeHistory, NodeHistory, SQLiteNodeHistory, seen_booting
from scalelib.hostnames import by_host, short_name
from scalelib.job import Job
from scalelib.meant import PlanMemory, found, noted, waiting_for
from scalelib.node import Node, NodeId, NodeState, SchedulerNode
from scalelib.planner import Problem, calculate
from scalelib.policy import Policy, Timeout
from scalelib.provider import Cloud, LaunchRequest, LaunchResult, NodeOutcome, Provider
from scalelib.readonly import ReadOnly

Least: TypeAlias = float | timedelta | Callable[[Node], float | timedelta]
"""How long at least: in seconds, as a time, or as a function of the node that gives either."""


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
        self._hosts = hosts
        self._jobs: list[Job] = []
        self._demand: Demand | None = None
        self._launched: list[LaunchResult] | None = None
        """What became of the plan's launches, once it was carried out."""
        self._run = uuid.uuid4().hex
        self._launches = 0
        self._plan = history.plan() if isinstance(history, PlanMemory) else None
        self._seen: Collection[NodeId] = history.times().keys()
        self._look()

    def _look(self) -> None:
        self.cloud: Cloud = self.provider.cloud()
        self._nodes, self._closed = merge(self.cloud.nodes, self._hosts)
        self._demand = self._launched = None

    # -- jobs

    def add_job(self, job: Job) -> None:
        """Take one more job into account."""
        if not isinstance(job, Job):
            raise InvalidJob(f"{shown(job)} is no job: pass Job(name, constraints=...)")
        check_hosts(job)
        self._jobs.append(job)
        self._changed()

    def _changed(self) -> None:
        """The plan does not hold any more; once it was carried out, neither does what was seen."""
        if self._launched is None:
            self._demand = None
            return
        self._seen = [node.id for node in self.cloud.nodes]
        self._look()

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
            meant={NodeId(i): jobs for i, jobs in found(self._plan, self._nodes, self._seen).items()},
            in_line=True,
            waited=waiting_for(self._plan, self.now),
        )

    def get_demand(self) -> Demand:
        """The plan for the jobs added so far. Nothing is written down, so this may be asked at any time."""
        if self._demand is None:
            self._demand = calculate(self.problem)
        return self._demand

    def finish(self) -> Demand:
        """The plan, and what it means for the nodes' clocks noted in the history.

        After `bootup` the cloud is looked at anew: what is on its way is not bought once more.
        """
        if self._launched is not None:
            self._changed()
        self.update_history()
        self._remember(launches=False)
        return self.get_demand()

    def update_history(self) -> None:
        """Note what the plan means for the nodes' clocks, as `finish` does."""
        demand, unsure = self.get_demand(), self._perhaps_running()
        self.history.update(
            self.now,
            [verdict.node for verdict in demand.nodes],
            unsure | {verdict.node.id for verdict in demand.nodes if verdict.matched},
            frozenset(verdict.node.id for verdict in demand.nodes if verdict.needed),
        )

    def _remember(self, *, launches: bool) -> None:
        """Keep for whom the nodes are, those to be launched too: no later plan buys for the same work."""
        waited = waiting_for(self._plan, self.now)
        self._plan = noted(self.get_demand(), launches=launches, now=self.now, waited=waited)
        if isinstance(self.history, PlanMemory):
            self.history.remember_plan(self._plan)

    def find_unmatched_for(self, at_least: Least | None = None) -> list[NodeVerdict]:
        """Nodes that nothing runs on or is planned for, and that have been so for `at_least`: seconds, or a
        function that gives them for a node; if left out, the `idle_timeout` of the node's nodearray.

        Only nodes that are ready and ours to end; not those that are to be kept, or that share the name of a
        host where work runs. InvalidJob if work runs on a host that nobody knows: it may be on any of them.
        """
        least, unsure = _least(at_least, self.policy.idle_timeout), self._perhaps_running()
        found = [
            verdict
            for verdict in self.get_demand().nodes
            if verdict.idle_for is not None
            and verdict.node.managed
            and not verdict.node.keep_alive
            and verdict.node.state is NodeState.READY
            and verdict.node.id not in unsure
            and verdict.idle_for >= least(verdict.node)
        ]
        if found and (stranger := self._stranger()):
            raise InvalidJob(f"find_unmatched_for: {stranger}")
        return found

    def _stranger(self) -> str:
        """What is wrong if work runs on a host that is no node and that the scheduler did not name either.
        Its node may go by another name, or have none yet: which one it is is not known, and unknown is not
        idle.
        """
        known = {
            short_name(name) for node in self._nodes for name in (node.hostname, node.private_ip) if name
        }
        for job in self._jobs:
            for host in job.executing_hostnames:
                if short_name(host) not in known:
                    return (
                        f"job {job.name!r} runs on {host!r}, which is no node of the cluster and none of "
                        "existing_nodes: so which nodes are idle is not known. Name it in existing_nodes if "
                        "it is another machine, else call it as the cluster does"
                    )
        return ""

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

    def find_booting(self, at_least: Least | None = None) -> list[NodeVerdict]:
        """Nodes that have been booting for `at_least` or longer, this time: seconds, or a function that gives
        them for a node; if left out, the `boot_timeout` of the node's nodearray.
        """
        least, times = _least(at_least, self.policy.boot_timeout), self.problem.history
        return [
            verdict
            for verdict in self.get_demand().nodes
            if verdict.node.is_booting
            and verdict.node.managed
            and self.now - (times[verdict.node.id].boot_began if verdict.node.id in times else self.now)
            >= least(verdict.node)
        ]

    # -- carrying it out

    def bootup(self) -> list[LaunchResult]:
        """Launch what the plan says. Asked again, nothing is launched twice."""
        demand = self.get_demand()
        requests = [
            LaunchRequest(
                request_id=f"{self._run}-{self._launches + number}",
                nodearray=launch.nodearray,
                vm_size=launch.vm_size,
                count=launch.count - len(launch.starts),
                spot=launch.spot,
                placement_group=launch.placement_group,
            )
            for number, launch in enumerate(demand.launches)
        ]
        if self._launched is None:
            if requests and not isinstance(self.provider, ReadOnly):
                self._remember(
                    launches=True
                )  # first: whoever is killed in between has bought them all the same
            self._launched = [
                self._carry_out(request, [node.id for node in launch.starts])
                for request, launch in zip(requests, demand.launches, strict=True)
            ]
            self._launches += len(requests)
        return self._launched

    def _carry_out(self, request: LaunchRequest, starts: list[NodeId]) -> LaunchResult:
        """Start what is there already, then create the rest."""
        started = self.provider.start(starts) if starts else ()
        failed = [each.error for each in started if not each.ok]
        created = LaunchResult(request_id=request.request_id, added=0)
        if request.count:
            created = self.provider.launch(request)
        return replace(
            created,
            added=created.added + len(started) - len(failed),
            message="; ".join(dict.fromkeys(each for each in (created.message, *failed) if each)),
        )

    def delete(self, nodes: Iterable[NodeVerdict | Node]) -> tuple[NodeOutcome, ...]:
        """End these nodes now. Refuses one that work runs on, or may run on, that is not ours, that is to be
        kept, or that is not of this look.
        """
        running = {verdict.node.id for verdict in self.get_demand().nodes if verdict.running}
        unsure, stranger = self._perhaps_running(), self._stranger()
        known = {node.id: node for node in self._nodes}
        chosen: list[NodeId] = []
        for each in nodes:
            given = each.node if isinstance(each, NodeVerdict) else each
            node = known.get(given.id, given)
            for wrong, why in (
                (node.id not in known, "it is none that was seen at this look"),
                (not node.managed, "only the scheduler knows it"),
                (node.keep_alive, "it is to be kept"),
                (node.id in running, "work runs on it"),
                (node.id in unsure, "work runs on a host of its name"),
                (node.is_ready and stranger, stranger),
            ):
                if wrong:
                    raise InvalidConfig(f"delete: node {node.name!r} is not to be ended: {why}")
            chosen.append(node.id)
        return self.provider.terminate(chosen) if chosen else ()


def _least(value: Least | None, timeout: Timeout) -> Callable[[Node], timedelta]:
    """How long, for each node."""
    if value is None:
        return lambda node: timeout(node.nodearray)
    if callable(value):
        ask = value
        return lambda node: _duration(ask(node))
    least = _duration(value)
    return lambda node: least


def _duration(value: object) -> timedelta:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= 10**9:
        raise InvalidInput(f"at_least: {shown(value)} is no time: write seconds, 0 or more")
    return timedelta(seconds=seconds)


def check_hosts(job: Job) -> None:
    """InvalidJob if a gang runs on fewer hosts than it has, or on more: where the others are is not known."""
    hosts = {short_name(host) for host in job.executing_hostnames}
    if job.node_count > 1 and hosts and not job.node_count <= len(hosts) <= job.node_count * job.iterations:
        raise InvalidJob(
            f"job {job.name!r}: executing_hostnames has {len(hosts)} different hosts, and {job.iterations} x "
            f"node_count {job.node_count} run on {job.node_count} to {job.node_count * job.iterations}: name "
            "every host"
        )


def merge(
    nodes: Sequence[Node], hosts: Iterable[SchedulerNode]
) -> tuple[tuple[Node, ...], frozenset[NodeId]]:
    """The cloud's nodes with what the scheduler knows of them, and its other hosts as unmanaged nodes.

    Also the ids of those that are closed. Hosts are matched by short host name or by address, in any case.
    """
    if len({node.id for node in nodes}) < len(nodes):
        raise CloudGarbled("the cloud names two nodes by one id: which is which is not known")
    names = by_host(nodes)
    told: dict[NodeId, SchedulerNode] = {}
    others: dict[str, SchedulerNode] = {}
    for host in hosts:
        node_id = names.get(short_name(host.hostname))
        by_address = names.get(short_name(host.private_ip)) if host.private_ip else None
        if node_id is not None and by_address not in (None, node_id):
            raise InvalidConfig(
                f"existing_nodes: {host.hostname!r} is one node by its name and another by its address "
                f"{host.private_ip!r}: correct one of them"
            )
        node_id = node_id or by_address
        before = others.get(short_name(host.hostname)) if node_id is None else told.get(node_id)
        if before is not None and replace(before, hostname=host.hostname) != host:
            raise InvalidConfig(
                f"existing_nodes: {before.hostname!r} and {host.hostname!r} are one host, and say different "
                "things: keep one"
            )
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
