"""A world in memory around the pure decision, in which all that is promised may be a lie: what is spent?"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from autoscaler_app.passes.decide.decision import decide
from autoscaler_app.passes.plan import DeleteReason, Plan
from autoscaler_app.passes.snapshot import HostSeen, JobSeen, Learnt, QueueSeen, Snapshot, TimesSeen
from scalelib.clouds import read_cloud
from scalelib.history import MemoryNodeHistory, seen_booting
from scalelib.meant import found
from tests.unit.autoscaler_app.conftest import NOW, bucket, node

STEP = timedelta(seconds=60)
CORES = {"S2": 2, "S8": 8}
MEMORY = {"S2": 4.0, "S8": 32.0}
PRICES = {"S2": 0.1, "S8": 0.5}

LIES = (
    "never joins",  # it is Ready, and no worker is ever heard
    "is deaf",  # its worker consumes nothing, whatever it is told
    "starts nothing",  # its worker consumes its queue and starts nothing of it
    "has less",  # its worker tells less than was promised
    "fails",  # it fails while it is set up
    "boots for ever",
    "falls silent",  # its worker tells once, and never again
    "is taken away",  # it vanishes before it has run anything
)


@dataclass(eq=False)
class Machine:
    """One machine, and what it is like."""

    number: int
    size: str
    lie: str
    born: datetime
    stage: str = "serving"
    queues: tuple[str, ...] = ()
    running: list[tuple[str, datetime]] = field(default_factory=list)
    """(queue, when it ends)"""
    ran: set[str] = field(default_factory=set)
    hungry: datetime | None = None

    @property
    def hostname(self) -> str:
        return f"ip-{self.number}"


@dataclass
class Queue:
    """Tasks of one kind."""

    needs: Mapping[str, float]
    waiting: int
    seconds: float = 600.0
    ended: datetime | None = None
    hidden: int = 0
    """Those that have vanished, and will be back."""


@dataclass
class LyingWorld:
    """Time passes, a pass is made, what it decides is done."""

    queues: dict[str, Queue]
    chance: random.Random
    lies: tuple[str, ...] = ()
    """What machines may be like, besides honest."""
    share: float = 1.0
    """How many of them lie, from 0 to 1."""
    tasks_vanish: bool = False
    """Whenever a machine is up, nothing is there; and all is there again when the last one is gone."""
    settings: dict[str, Any] = field(default_factory=dict)
    now: datetime = NOW
    machines: list[Machine] = field(default_factory=list)
    number: int = 0
    spent: float = 0.0
    launched: list[datetime] = field(default_factory=list)
    learnt: Learnt = field(default_factory=Learnt)
    aside: dict[str, str] = field(default_factory=dict)
    meant: Any = None
    history: MemoryNodeHistory = field(default_factory=MemoryNodeHistory)
    plan: Plan | None = None

    def go_on(self, time: timedelta) -> LyingWorld:
        end = self.now + time
        while self.now < end:
            self.turn()
        return self

    def turn(self) -> Plan:
        self.now += STEP
        self.spent += sum(PRICES[m.size] for m in self.machines) * (STEP / timedelta(hours=1))
        self.machines = [
            m for m in self.machines if m.lie != "is taken away" or self.age(m) < timedelta(minutes=2)
        ]
        self.work()
        seen = self.snapshot()
        decision = decide(seen)
        cloud = read_cloud(seen.cluster, seen.config)
        self.history.update(self.now, cloud.nodes, decision.active, decision.needed)
        self.learnt, self.meant, self.plan = decision.learnt, decision.meant, decision.plan
        self.carry_out(decision.plan)
        return decision.plan

    # -- what machines do

    def age(self, machine: Machine) -> timedelta:
        return self.now - machine.born

    def state(self, machine: Machine) -> str:
        age = self.age(machine)
        if age < timedelta(minutes=2) or machine.lie == "boots for ever":
            return "Preparing"
        return "Failed" if machine.lie == "fails" else "Ready"

    def is_up(self, machine: Machine) -> bool:
        return self.state(machine) == "Ready" and machine.lie != "never joins"

    def total(self, machine: Machine) -> dict[str, float]:
        less = 0.9 if machine.lie == "has less" else 1.0
        return {"ncpus": CORES[machine.size], "memgb": MEMORY[machine.size] * less}

    def work(self) -> None:
        up = [m for m in self.machines if self.is_up(m)]
        for machine in up:
            for queue, end in list(machine.running):
                if end <= self.now:
                    machine.running.remove((queue, end))
                    machine.ran.add(queue)
                    self.queues[queue].ended = self.now
        if self.tasks_vanish:
            for queue in self.queues.values():
                if up:
                    queue.hidden, queue.waiting = queue.hidden + queue.waiting, 0
                elif not self.machines:
                    queue.hidden, queue.waiting = 0, queue.waiting + queue.hidden
        for machine in up:
            if machine.stage == "serving" and machine.lie not in (
                "is deaf",
                "starts nothing",
                "falls silent",
            ):
                for name in machine.queues:
                    self.start(machine, name)

    def start(self, machine: Machine, name: str) -> None:
        queue, free = self.queues[name], dict(self.total(machine))
        for other, _ in machine.running:
            for key, amount in self.queues[other].needs.items():
                free[key] -= amount
        while queue.waiting and all(free[key] >= amount for key, amount in queue.needs.items()):
            queue.waiting -= 1
            machine.running.append((name, self.now + timedelta(seconds=queue.seconds)))
            for key, amount in queue.needs.items():
                free[key] -= amount

    # -- what is seen

    def snapshot(self) -> Snapshot:
        nodes = [
            node(
                m.number,
                MachineType=m.size,
                Status=self.state(m),
                Hostname=m.hostname if self.state(m) == "Ready" else "",
            )
            for m in self.machines
        ]
        active = Counter(m.size for m in self.machines)
        cluster = {
            "state": "Started",
            "targetState": "Started",
            "nodearrays": [
                {
                    "name": "worker",
                    "nodearray": {"Name": "worker", "Region": "westeurope"},
                    "buckets": [bucket(s, CORES[s], MEMORY[s], active[s]) for s in CORES],
                }
            ],
            "nodes": nodes,
        }
        config = {
            "cluster_name": "celery",
            "prices": PRICES,
            "solver": False,
            "idle_timeout": 300,
            "autoscaler": {"silent_timeout": 600, **self.settings},
        }
        cloud = read_cloud(cluster, config)
        times = self.history.times()
        meant = {str(i): jobs for i, jobs in found(self.meant, cloud.nodes, times).items()}
        return Snapshot(
            version=1,
            now=self.now,
            cluster=cluster,
            config=config,
            queues=tuple(self.queue_seen(name) for name in sorted(self.queues)),
            jobs=tuple(job for m in self.machines for job in self.jobs(m)),
            hosts=tuple(
                self.host(m, meant.get(f"id-{m.number}", {})) for m in self.machines if self.is_up(m)
            ),
            history={
                str(i): TimesSeen(
                    created=t.created,
                    ready=t.ready,
                    last_active=t.last_active,
                    last_needed=t.last_needed,
                    booting=t.booting,
                )
                for i, t in seen_booting(times, cloud.nodes, self.now).items()
            },
            meant=meant,
            learnt=self.learnt,
            set_aside=self.aside,
        )

    def queue_seen(self, name: str) -> QueueSeen:
        queue = self.queues[name]
        return QueueSeen(
            queue=name,
            constraints=dict(queue.needs),
            waiting=queue.waiting,
            running=sum(each == name for m in self.machines for each, _ in m.running),
            ran_seconds_ago=None if queue.ended is None else (self.now - queue.ended).total_seconds(),
        )

    def jobs(self, machine: Machine) -> list[JobSeen]:
        counts = Counter(queue for queue, _ in machine.running)
        return [
            JobSeen(
                name=f"{queue} on {machine.hostname}",
                constraints=dict(self.queues[queue].needs),
                iterations=count,
                executing_hostnames=(machine.hostname,),
                queue=queue,
                so_far=(1.0,) * count,
            )
            for queue, count in sorted(counts.items())
        ]

    def host(self, machine: Machine, meant: Mapping[str, int]) -> HostSeen:
        consumes = () if machine.lie == "is deaf" else machine.queues
        waits = any(self.queues[name].waiting for name in {*consumes, *meant})
        is_hungry = waits and not machine.running and machine.stage == "serving"
        machine.hungry = (machine.hungry or self.now) if is_hungry else None
        heard = timedelta(seconds=1)
        if machine.lie == "falls silent":
            heard += max(timedelta(), self.age(machine) - timedelta(minutes=3))
        return HostSeen(
            hostname=machine.hostname,
            total=self.total(machine),
            running=len(machine.running),
            heard_seconds_ago=heard.total_seconds(),
            queues=consumes,
            stage=machine.stage,  # type: ignore[arg-type]
            fenced=machine.stage != "serving",
            hungry_seconds=None if machine.hungry is None else (self.now - machine.hungry).total_seconds(),
            ran=tuple(sorted(machine.ran)),
            began=machine.born + timedelta(minutes=2),
        )

    # -- what is done

    def carry_out(self, plan: Plan) -> None:
        by_host = {m.hostname: m for m in self.machines}
        for given in plan.join:
            by_host[given.hostname].queues = given.queues
        for unfence in plan.unfence:
            by_host[unfence.hostname].stage = "serving"
        for fence in plan.fence:
            by_host[fence.hostname].stage = "fenced"
        for launch in plan.launch:
            for _ in range(launch.count):
                self.number += 1
                lie = self.chance.choice(self.lies) if self.chance.random() < self.share and self.lies else ""
                self.machines.append(Machine(self.number, launch.vm_size, lie, self.now))
                self.launched.append(self.now)
        for entry in plan.delete:
            machine = next(m for m in self.machines if f"id-{m.number}" == entry.node_id)
            if entry.reason in (DeleteReason.IDLE, DeleteReason.SURPLUS) and machine.stage == "fenced":
                machine.stage = "left"
            else:
                self.machines.remove(machine)
