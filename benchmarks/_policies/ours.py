"""This autoscaler: the planner, and the pure decisions of a pass with all their memories, as they are.

What is left out is what no decision is made from here: calls, events, certificates of real workers. A fenced
machine that runs nothing is told to shut down at the next look, has left `LEAVES` later, and is deleted then.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from autoscaler_app.memory.runtimes import Runtimes
from autoscaler_app.passes.decide.decision import Decision, decide_in
from autoscaler_app.passes.decide.situation import Situation
from autoscaler_app.passes.observe.lately import ran_lately
from autoscaler_app.passes.observe.untimed import untimed_since
from autoscaler_app.passes.snapshot import HostSeen, JobSeen, Learnt, QueueSeen, Snapshot, TimesSeen
from autoscaler_app.settings import Autoscaler, read_autoscaler
from benchmarks._policies.world import Amounts, Machine, Policy, World
from celery_resources import Requirement
from scalelib.bucket import Bucket, Pool, PoolKind
from scalelib.history import MemoryNodeHistory, seen_booting
from scalelib.meant import found, waiting_for
from scalelib.node import Node, NodeId, NodeState
from scalelib.policy import Policy as PlannerPolicy
from scalelib.provider import Cloud

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
LEAVES = 5.0
"""Seconds that a worker takes to shut down."""
SOON = 5.0
"""Seconds after which a pass that has more to do is followed by another one."""


@dataclass(frozen=True, slots=True)
class _Runs:
    queue: str


@dataclass(frozen=True, slots=True)
class _View:
    """A host, for what ran between two looks."""

    hostname: str
    queues: frozenset[str]
    worked: float
    running: tuple[_Runs, ...] = ()
    held: tuple[_Runs, ...] = ()
    fenced: bool = False
    gang: None = None


@dataclass
class Ours(Policy):
    """One control side."""

    config: dict[str, Any] = field(default_factory=dict)
    """As in `autoscale.json`."""
    looks_when_up: float = SOON

    def __post_init__(self) -> None:
        self._policy = PlannerPolicy.from_config(self.config)
        self._autoscaler: Autoscaler = read_autoscaler(self.config, "the benchmark")
        self._history = MemoryNodeHistory()
        self._runtimes = Runtimes()
        self._untimed: dict[str, float] = {}
        self._learnt = Learnt()
        self._last = 0.0

    def look(self, world: World) -> float:
        """One pass."""
        for queue, seconds, when in world.ended:
            self._runtimes.add(queue, seconds, _at(when))
        if not world.machines and not any(world.depth.values()) and not self._history.times():
            self._last = world.now
            return world.site.interval
        now = _at(world.now)
        machines = {machine.number: machine for machine in world.machines.values()}
        cloud = self._cloud(world)
        snapshot = self._snapshot(world, cloud, now)
        decision = decide_in(
            Situation(
                snapshot=snapshot,
                policy=self._policy,
                autoscaler=self._autoscaler,
                cloud=cloud,
                host_of={NodeId(host.hostname): host for host in snapshot.hosts},
            )
        )
        self._history.update(now, cloud.nodes, decision.active, decision.needed)
        self._history.remember_plan(decision.meant)
        self._learnt, self._last = decision.learnt, world.now
        more = self._act(world, machines, decision)
        return SOON if more else world.site.interval

    # -- what is seen

    def _cloud(self, world: World) -> Cloud:
        left = world.site.cores - world.cores
        buckets = tuple(
            Bucket(
                id=size.name,
                nodearray="worker",
                vm_size=size.name,
                vcpu_count=size.cores,
                pcpu_count=size.cores,
                gpu_count=int(size.has[2]),
                memory_gib=size.has[1],
                price_per_hour=size.price,
                pools={"regional": size.cores},
                position=place,
            )
            for place, size in enumerate(world.site.sizes)
        )
        return Cloud(
            cluster="simulated",
            nodes=tuple(map(_node, world.machines.values())),
            buckets=buckets,
            pools=(Pool(name="regional", kind=PoolKind.REGIONAL, cores=left),),
        )

    def _snapshot(self, world: World, cloud: Cloud, now: datetime) -> Snapshot:
        queues = self._queues(world, now)
        times = seen_booting(self._history.times(), cloud.nodes, now)
        fact, present = self._history.plan(), {node.id for node in cloud.nodes}
        return Snapshot(
            version=1,
            now=now,
            cluster={},
            queues=queues,
            jobs=(*_running(world), *self._lately(world, queues)),
            hosts=tuple(_host(machine, world.now) for machine in world.machines.values() if machine.is_up),
            history={
                str(i): TimesSeen(
                    created=t.created,
                    ready=t.ready,
                    last_active=t.last_active,
                    last_needed=t.last_needed,
                    booting=t.booting,
                )
                for i, t in times.items()
                if i in present
            },
            meant={str(i): dict(jobs) for i, jobs in found(fact, cloud.nodes, list(times)).items()},
            waited={job: each.total_seconds() for job, each in waiting_for(fact, now).items()},
            learnt=self._learnt,
            listening_since=BEGAN,
        )

    def _queues(self, world: World, now: datetime) -> tuple[QueueSeen, ...]:
        running = dict.fromkeys(world.needs, 0)
        for machine in world.machines.values():
            for queue, *_ in machine.running.values():
                running[queue] += 1
        queues = []
        for queue in sorted(world.needs):
            waiting, last = world.waiting[queue], self._runtimes.last(queue)
            queues.append(
                QueueSeen(
                    queue=queue,
                    constraints=_constraints(world.needs[queue]),
                    waiting=world.depth[queue],
                    running=running[queue],
                    oldest_seconds=world.now - waiting[0][0] if waiting else None,
                    runtime_seconds=self._runtimes.mean(queue),
                    ran_seconds_ago=None if last is None else (now - last).total_seconds(),
                )
            )
        self._untimed = untimed_since(self._untimed, queues, now)
        return tuple(
            QueueSeen(
                **{name: getattr(each, name) for name in each.__struct_fields__ if name != "untimed_seconds"},
                untimed_seconds=now.timestamp() - self._untimed[each.queue],
            )
            if each.queue in self._untimed
            else each
            for each in queues
        )

    def _lately(self, world: World, queues: Iterable[QueueSeen]) -> tuple[JobSeen, ...]:
        gap = world.now - self._last
        busy: dict[str, float] = {}
        for queue, seconds, when in world.ended if gap > 0 else ():
            busy[queue] = busy.get(queue, 0.0) + min(seconds, max(0.0, when - self._last)) / gap
        by_queue = {each.queue: each for each in queues}
        busy = {
            queue: average
            for queue, average in busy.items()
            if average > by_queue[queue].running + by_queue[queue].waiting
        }
        if not busy:
            return ()
        views = [
            _View(
                hostname=_name(machine),
                queues=frozenset(world.needs) if machine.takes is None else machine.takes,
                worked=machine.idle_since,
                running=tuple(_Runs(queue) for queue, *_ in machine.running.values()),
                fenced=machine.is_closed,
            )
            for machine in world.machines.values()
            if machine.is_up and machine.runs
        ]
        kinds = {queue: Requirement(_constraints(need)) for queue, need in world.needs.items()}
        waiting = {each.queue: each.waiting for each in queues}
        return ran_lately(busy, views, waiting, kinds)  # type: ignore[arg-type]

    # -- what is done

    def _act(self, world: World, machines: dict[int, Machine], decision: Decision) -> bool:
        by_name = {_name(machine): machine for machine in machines.values()}
        sizes = {size.name: size for size in world.site.sizes}
        plan = decision.plan
        for unfence in plan.unfence:
            machine = by_name[unfence.hostname]
            machine.facts.pop("stage", None)
            world.open(machine)
        for given in plan.join:
            world.narrow(by_name[given.hostname], given.queues)
        for launch in plan.launch:
            world.launch(sizes[launch.vm_size], launch.count)
        for fence in plan.fence:
            machine = by_name[fence.hostname]
            machine.facts["stage"] = "fenced"
            world.close(machine)
        more = bool(plan.fence)
        for delete in plan.delete:
            machine = by_name[delete.node]
            stage = machine.facts.get("stage")
            if stage == "fenced" and not machine.running:
                machine.facts["stage"], machine.facts["left_at"] = "leaving", world.now + LEAVES
                more = True
            elif stage == "left" or not machine.is_up:
                world.end(machine)
        return more


def _at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def _name(machine: Machine) -> str:
    return f"worker-{machine.number}"


def _node(machine: Machine) -> Node:
    """The same one until it is up."""
    known = machine.facts.get("node")
    if isinstance(known, Node) and (machine.is_up == known.is_ready):
        return known
    name = _name(machine)
    machine.facts["node"] = node = Node(
        id=NodeId(name),
        name=name,
        nodearray="worker",
        vm_size=machine.size.name,
        bucket_id=machine.size.name,
        state=NodeState.READY if machine.is_up else NodeState.PREPARING,
        status="Ready" if machine.is_up else "Preparing",
        hostname=name if machine.is_up else None,
        vcpu_count=machine.size.cores,
        pcpu_count=machine.size.cores,
        gpu_count=int(machine.size.has[2]),
        memory_gib=machine.size.has[1],
        price_per_hour=machine.size.price,
    )
    return node


def _host(machine: Machine, now: float) -> HostSeen:
    stage = str(machine.facts.get("stage", "serving"))
    if stage == "leaving" and now >= float(str(machine.facts["left_at"])):
        machine.facts["stage"] = stage = "left"
    return HostSeen(
        hostname=_name(machine),
        running=len(machine.running),
        fenced=stage != "serving",
        heard_seconds_ago=0.0,
        untold_seconds=0.0,
        queues=None if machine.takes is None else tuple(sorted(machine.takes)),
        stage=stage,  # type: ignore[arg-type]
        ran=tuple(sorted(machine.ran)),
        worked_seconds_ago=now - machine.idle_since if machine.runs and not machine.running else None,
    )


def _running(world: World) -> Iterable[JobSeen]:
    for machine in world.machines.values():
        if not machine.running:
            continue
        name, so_far = _name(machine), {}
        for queue, start, *_ in machine.running.values():
            so_far.setdefault(queue, []).append(round(world.now - start, 1))
        for queue, seconds in so_far.items():
            yield JobSeen(
                name=f"{queue} on {name}",
                constraints=_constraints(world.needs[queue]),
                iterations=len(seconds),
                executing_hostnames=(name,),
                queue=queue,
                so_far=tuple(seconds),
            )


def _constraints(need: Amounts) -> dict[str, float]:
    names = ("ncpus", "memgb", "ngpus")
    return {name: amount for name, amount in zip(names, need, strict=True) if amount}
