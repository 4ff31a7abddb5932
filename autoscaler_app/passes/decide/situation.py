"""A snapshot, understood: the cloud parsed, hosts matched with nodes, queues turned into jobs. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property

from autoscaler_app import settings as settings_module
from autoscaler_app.passes.decide.bounds.by_hand import ByHand
from autoscaler_app.passes.decide.gangs import WAITS, Reserved, reserved
from autoscaler_app.passes.decide.known import Known
from autoscaler_app.passes.decide.offered import offered
from autoscaler_app.passes.decide.settled import settled
from autoscaler_app.passes.decide.sizes import Amounts, learnt, size_of, told
from autoscaler_app.passes.decide.worth.learning import is_worth_waiting
from autoscaler_app.passes.decide.worth.slots import boot_time, slots_wanted
from autoscaler_app.passes.decide.worth.vain import Tried, slots_tried, tried, why_lost
from autoscaler_app.passes.hosts import by_host, match_hosts
from autoscaler_app.passes.snapshot import JobSeen, QueueSeen, SizeKnown, Snapshot
from scalelib.clouds import read_cloud
from scalelib.history import NodeTimes
from scalelib.job import Job
from scalelib.node import Node, NodeId
from scalelib.planner import Fitting, NodeVerdict, Problem
from scalelib.planning import clocks
from scalelib.policy import Policy
from scalelib.resources import laid_over


@dataclass(frozen=True, kw_only=True)
class Situation(Known):
    """A snapshot, understood: the cloud parsed, hosts matched with nodes, queues turned into jobs."""

    spared: Mapping[str, int] = field(default_factory=dict)
    """By queue: slots for which nothing is to be bought because a person has paused that."""

    @cached_property
    def by_hand(self) -> ByHand:
        """What people asked for."""
        return ByHand.read(self.snapshot.orders, self.snapshot.now, paused=self.snapshot.paused)

    @cached_property
    def _given_to_hands(self) -> frozenset[NodeId]:
        """Nodes that take no new work because somebody wants it so."""
        return frozenset(node.id for node in self.cloud.nodes if self.by_hand.of(node) is not None)

    @cached_property
    def problem(self) -> Problem:
        """What the engine is asked."""
        return replace(self._capacity, jobs=tuple(self._jobs()))

    @cached_property
    def _capacity(self) -> Problem:
        """The same without any work."""
        out_of_service = {i for i, host in self.host_of.items() if host.on_its_way in ("leaving", "left")}
        out_of_service |= self._given_to_hands
        set_aside = {**self.snapshot.set_aside, **self.by_hand.set_aside(self.cloud.buckets)}
        closed = {i for i, host in self.host_of.items() if host.on_its_way == "fenced"}
        return Problem(
            jobs=(),
            nodes=tuple(self._as_capacity(node, node.id in out_of_service) for node in self.cloud.nodes),
            buckets=offered(self.cloud.buckets, set_aside, self._told),
            pools=self.cloud.pools,
            history={
                NodeId(i): NodeTimes(
                    created=t.created,
                    ready=t.ready,
                    last_active=self.last_active(NodeId(i)),
                    last_needed=t.last_needed,
                    booting=t.booting,
                )
                for i, t in self.snapshot.history.items()
            },
            policy=self.policy,
            now=self.snapshot.now,
            closed=frozenset(closed),
            settled=settled(self.cloud.nodes, self.host_of, self.snapshot.jobs, self.policy),
            meant={NodeId(i): jobs for i, jobs in self.snapshot.meant.items()},
            in_line=True,
            waited={job: timedelta(seconds=seconds) for job, seconds in self.snapshot.waited.items()},
        )

    def _jobs(self) -> list[Job]:
        taken_as_they_are = [
            Job(
                job.name,
                job.constraints,
                iterations=job.iterations,
                node_count=job.node_count,
                colocated=job.colocated,
                exclusive=job.exclusive,
                priority=job.priority,
                executing_hostnames=job.executing_hostnames,
            )
            for job in self.snapshot.jobs
        ]
        return (
            taken_as_they_are
            + self._gangs_as_jobs()
            + [
                Job(
                    queue.queue,
                    queue.constraints,
                    iterations=slots,
                    node_count=queue.node_count,
                    colocated=queue.colocated,
                    exclusive=queue.exclusive,
                    priority=queue.priority,
                )
                for queue in sorted(self.snapshot.queues, key=self._came)
                if (slots := self._asked(queue)) > 0
            ]
        )

    def _asked(self, queue: QueueSeen) -> int:
        """How many slots the engine is asked for."""
        return self.slots(queue) - self.futile.get(queue.queue, 0) - self.spared.get(queue.queue, 0)

    def _came(self, queue: QueueSeen) -> tuple[float, str]:
        """Its place in the line: by the age of its next task, or else by how long it had nothing at all."""
        waited = self.snapshot.waited.get(queue.queue, 0.0)
        return (-(waited if queue.oldest_seconds is None else queue.oldest_seconds), queue.queue)

    # -- what machines were bought for in vain

    @cached_property
    def tried(self) -> Tried:
        """What has become of machines that were bought, this look included: to be remembered."""
        return tried(self.snapshot, self.cloud.nodes, self.host_of, self.gangs, self._lost(), self.autoscaler)

    def _lost(self) -> dict[NodeId, str]:
        """Nodes that take no work any more, each with why."""
        capacity = {node.id: node for node in self._capacity.nodes}
        return {
            node.id: why_lost(node, host, is_hungry=host is not None and self.is_hungry(host))
            for node, host in ((node, self.host_of.get(node.id)) for node in self.cloud.nodes)
            if node.id not in self._given_to_hands
            and clocks.tier_of(capacity[node.id], self._capacity) is None
        }

    @cached_property
    def futile(self) -> dict[str, int]:
        """By queue: slots that are not bought for, because others were bought for them in vain."""
        found = {}
        for queue in self.snapshot.queues:
            most = slots_tried(self.tried.vain.get(queue.queue), self.snapshot.now)
            if most is not None and (slots := self.slots(queue)) > most and self._might_be_bought(queue):
                found[queue.queue] = slots - most
        return found

    def _might_be_bought(self, queue: QueueSeen) -> bool:
        """Some machine that is to be had would hold it: else that is the reason to be told."""
        job = Job(queue.queue, queue.constraints, exclusive=queue.exclusive)
        return Fitting([job], self.policy, self.cloud.buckets).among(self._capacity.buckets)

    @cached_property
    def gangs(self) -> list[Reserved]:
        """Every gang that a host tells of."""
        return reserved(self.snapshot.hosts)

    def _gangs_as_jobs(self) -> list[Job]:
        """A node that is in a gang takes nothing else, whatever room it has."""
        queues = {queue.queue: queue for queue in self.snapshot.queues}
        return [
            Job(
                f"gang {gang.id}",
                queues[gang.queue].constraints if gang.queue in queues else {},
                node_count=len(gang.hosts),
                exclusive=True,
                executing_hostnames=gang.hosts,
            )
            for gang in self.gangs
            if gang.is_alive
        ]

    def slots(self, queue: QueueSeen) -> int:
        """How many slots the waiting tasks of a queue are worth, those that a gang waits for left out."""
        awaited = sum(gang.queue == queue.queue and gang.role == WAITS for gang in self.gangs)
        waiting = queue.waiting + len(queue.due) - awaited
        if self.is_learning(queue):
            return max(0, min(waiting, self._meant_for[queue.queue]))
        return slots_wanted(
            waiting=waiting,
            runtime=None if queue.runtime_seconds is None else timedelta(seconds=queue.runtime_seconds),
            target_drain_time=timedelta(seconds=self.autoscaler.target_drain_time),
            boot_time=self.boot_time,
            enabled=self._goes_by_run_times(queue),
            serving=self._so_far.get(queue.queue, ()),
            held=sum(max(0, job.iterations - len(job.so_far)) for job in self._serving.get(queue.queue, ())),
        )

    def _goes_by_run_times(self, queue: QueueSeen) -> bool:
        return self.autoscaler.estimate_run_times and queue.node_count <= 1

    def is_learning(self, queue: QueueSeen) -> bool:
        """How long its tasks run is unknown and worth waiting for: no more is asked for than was."""
        if not self._goes_by_run_times(queue) or queue.runtime_seconds is not None:
            return False
        return queue.untimed_seconds is not None and is_worth_waiting(
            untimed=timedelta(seconds=queue.untimed_seconds),
            running=self._so_far.get(queue.queue, ()),
            is_on_its_way=self._meant_for[queue.queue] > 0,
            boot_time=self.boot_time,
            longest=timedelta(seconds=self.autoscaler.target_drain_time),
        )

    @cached_property
    def _meant_for(self) -> Counter[str]:
        """By queue: slots of nodes that were bought for it, or that the last plan put there."""
        found: Counter[str] = Counter()
        for node in self.cloud.nodes:
            host = self.host_of.get(node.id)
            if node.wanted and not node.state.is_failed and (host is None or self.has_room(host)):
                found.update(self.snapshot.meant.get(node.id, {}))
        return found

    @cached_property
    def _serving(self) -> Mapping[str, list[JobSeen]]:
        """By queue: what runs or is held of it where more of it is taken: not on a host that is fenced, is
        going, or of which nothing is known.
        """
        found: dict[str, list[JobSeen]] = {}
        for job in self.snapshot.jobs:
            if job.queue and self._serving_hosts.issuperset(job.executing_hostnames):
                found.setdefault(job.queue, []).append(job)
        return found

    @cached_property
    def _so_far(self) -> dict[str, list[timedelta]]:
        """By queue: for how long its tasks have run there."""
        return {
            queue: [timedelta(seconds=each) for job in jobs for each in job.so_far]
            for queue, jobs in self._serving.items()
        }

    @cached_property
    def _serving_hosts(self) -> frozenset[str]:
        return frozenset(
            host.hostname
            for host in self.snapshot.hosts
            if host.on_its_way == "serving" and host.gang is None and self.has_room(host)
        )

    @cached_property
    def boot_time(self) -> timedelta:
        """How long nodes take to boot here."""
        return boot_time(self.snapshot.history.values())

    @cached_property
    def sizes(self) -> dict[str, SizeKnown]:
        """What machines of each size were seen to have, this look included: to be remembered."""
        return learnt(
            self.snapshot.learnt.sizes,
            buckets=self.cloud.buckets,
            nodes=self.cloud.nodes,
            hosts={node_id: host for node_id, host in self.host_of.items() if self.is_heard(host)},
            history=self.snapshot.history,
            policy=self.policy,
            now=self.snapshot.now,
            kept=timedelta(seconds=self.autoscaler.sizes_kept),
        )

    @cached_property
    def _told(self) -> dict[str, Amounts]:
        """By size: the amounts that hold in place of what the cloud promises."""
        return {name: amounts for name, size in self.sizes.items() if (amounts := told(size))}

    def _as_capacity(self, node: Node, out_of_service: bool) -> Node:
        host = self.host_of.get(node.id)
        if host is None or not host.total:
            # It has not told yet: what the others of its size have is a better guess than the promise.
            guess = self._told.get(size_of(node.nodearray, node.vm_size)) if node.managed else None
            node = replace(node, resources=laid_over(node.resources, guess)) if guess else node
        if host is None:
            return node
        resources = {**node.resources, **host.total} if host.total else node.resources
        takes = self.has_room(host) and not out_of_service
        return replace(node, resources=resources, wanted=node.wanted and takes)

    # -- what of it the plan gave a node

    def new_work(self, verdict: NodeVerdict) -> dict[str, int]:
        """The work that the plan gave a node and that does not run there already. Slots of the warm pool are
        no work: a node that is kept for them is open to whatever fits it.
        """
        return {
            name: slots - verdict.running.get(name, 0)
            for name, slots in verdict.jobs.items()
            if slots > verdict.running.get(name, 0) and name in self._job_names
        }

    @cached_property
    def _job_names(self) -> frozenset[str]:
        return frozenset(job.name for job in self.problem.jobs)

    def queues_for(self, verdict: NodeVerdict) -> tuple[str, ...]:
        """What a host is to consume: the queues whose work the plan gave it, else all that fit it.

        A node that was bought for big tasks is thus not eaten up by small ones while the big ones wait. Gangs
        are not consumed: their head is told when all of its nodes are reserved.
        """
        given = self.new_work(verdict)
        if verdict.held_for and not given:
            given = {verdict.held_for: 1}
        if given:
            return tuple(sorted(name for name in given if name in self._plain_queues))
        return self._fitting.on(verdict.node)

    @cached_property
    def gang_queues(self) -> frozenset[str]:
        """Queues whose tasks need several nodes at once."""
        return frozenset(queue.queue for queue in self.snapshot.queues if queue.node_count > 1)

    @cached_property
    def _plain_queues(self) -> dict[str, Job]:
        return {
            queue.queue: Job(queue.queue, queue.constraints, exclusive=queue.exclusive)
            for queue in self.snapshot.queues
            if queue.node_count <= 1
        }

    @cached_property
    def _fitting(self) -> Fitting:
        return Fitting(self._plain_queues.values(), self.policy, self.cloud.buckets)


def read(snapshot: Snapshot) -> Situation:
    """Parse the cloud's answer and the configuration; match hosts with nodes."""
    policy = Policy.from_config(snapshot.config)
    cloud = read_cloud(snapshot.cluster, snapshot.config)
    return Situation(
        snapshot=snapshot,
        policy=policy,
        autoscaler=settings_module.read_autoscaler(snapshot.config, "config"),
        cloud=cloud,
        host_of=match_hosts(snapshot.hosts, by_host(cloud.nodes)),
    )
