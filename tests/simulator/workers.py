"""The workers of the nodes: they take what fits, run it, obey, and tell; what runs on a dead one is dead."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

from cyclecloud_emulator.fleet.machine import Machine
from simulated_nodes.commands import CHANGING, answer
from simulated_nodes.voice import BEAT_SECONDS, TELL_SECONDS
from simulated_nodes.worker import SimJob, SimStanding, SimWorker, amounts_of
from tests.simulator.broker import Delivery, SimBroker
from tests.simulator.clock import Clock

LOOKS_EVERY = 1.0
"""Seconds after which a worker that found nothing looks into its queues again."""
ASK_TIMEOUT = 2.0
SLOW = 0.03
"""Of the messages that a worker takes, so many sit unseen for a while."""
Event = Mapping[str, Any]


@dataclass(kw_only=True, eq=False)
class Process:
    """One worker process, and what befalls it."""

    worker: SimWorker
    on_its_way: list[Delivery] = field(default_factory=list)
    """Taken from a queue and not started yet: no account shows it."""
    is_dead: bool = False
    stalled_until: float = 0.0
    """It does nothing at all: its machine is out of memory, say."""
    cut_off_until: float = 0.0
    """Its tasks run, and nothing reaches it or comes from it."""
    reached_at: float
    """When something that it said was last heard by a control side."""
    account_heard_at: float = 0.0
    """When it was last heard what it has."""
    is_alone: bool = True
    """No process of this machine came before it."""
    busy_since: float = 0.0
    empty_since: float = 0.0
    """Of the two, one is 0."""
    done: list[SimJob] = field(default_factory=list)
    """Ended, and not acknowledged while it is cut off."""

    @property
    def name(self) -> str:
        return f"{self.worker.machine.name} process {self.worker.pid}"

    @property
    def nodename(self) -> str:
        return self.worker.nodename

    @property
    def has(self) -> list[str]:
        """Tasks that it runs, or has taken."""
        return [*self.worker.running, *(each.task.id for each in self.on_its_way)]


class SimWorkers:
    """All of them: a fleet for the emulator (`fleet.machine.Fleet`), and for the control side those that can
    be asked (`listening.workers.Workers`).
    """

    def __init__(
        self, clock: Clock, broker: SimBroker, chance: Random, on_call: Callable[[str], None]
    ) -> None:
        self._clock, self._broker, self._chance, self._on_call = clock, broker, chance, on_call
        self.processes: dict[str, Process] = {}
        """By node id: those that live."""
        self._standings: dict[str, SimStanding] = {}
        self._pids = count(101)
        self._starting: set[str] = set()
        self._began: set[str] = set()
        self._due: set[str] = set()
        """Node ids of those that will tell what has changed."""
        self.on_event: Callable[[Process, Event], None] = lambda process, event: None
        self.on_note: Callable[[Mapping[str, Any]], None] = lambda note: None
        self.on_exit: Callable[[str, int], None] = lambda node_id, code: None
        self.on_start: Callable[[Process, Delivery], None] = lambda process, delivery: None
        self.on_done: Callable[[Process, Delivery], None] = lambda process, delivery: None
        self.on_death: Callable[[Process], None] = lambda process: None
        broker.consuming = self._connected
        self._look()
        self._beat()

    # -- what becomes of a process

    def start(self, machine: Machine) -> None:
        """The machine is up."""
        self._starting.add(machine.node_id)
        self._clock.after(self._chance.uniform(0.1, 3.0), lambda: self._begin(machine))

    def _begin(self, machine: Machine) -> None:
        if machine.node_id not in self._starting:
            return
        self._starting.discard(machine.node_id)
        standing = self._standings.setdefault(machine.node_id, SimStanding())
        worker = SimWorker(machine=machine, standing=standing, started=self._clock.at, pid=next(self._pids))
        process = Process(
            worker=worker,
            reached_at=self._clock.at,
            empty_since=self._clock.at,
            is_alone=machine.node_id not in self._began,
        )
        self._began.add(machine.node_id)
        self.processes[machine.node_id] = process
        self._say(process, "worker-online")
        self._tell(process)

    def stop(self, node_id: str, grace: float) -> None:
        """The machine goes away, and all that is on it."""
        self._starting.discard(node_id)
        self._die(node_id)

    def busy(self, node_id: str) -> bool:
        return False

    def kill_worker(self, node_id: str) -> bool:
        """As a crash would; the machine stays."""
        if (process := self._die(node_id)) is None:
            return False
        self.on_exit(process.worker.machine.node_id, 1)
        return True

    def adopt(self, node_id: str) -> bool:
        return False

    def end_others(self, known: Collection[str]) -> None:
        pass

    def close(self, *, keep: bool = False) -> None:
        pass

    def cut_off(self, process: Process, until: float) -> None:
        """Its connection is lost. What it had taken and not started it forgets, as Celery does."""
        process.cut_off_until = until
        for delivery in process.on_its_way:
            if self._broker.kind == "rabbitmq":
                self._broker.put_back(delivery)
        process.on_its_way.clear()

    def _die(self, node_id: str) -> Process | None:
        process = self.processes.pop(node_id, None)
        if process is not None:
            process.is_dead = True
            self.on_death(process)
            self._broker.connection_is_gone(process)
        return process

    def _exit(self, process: Process) -> None:
        """Cleanly: with its last word, over a connection of its own."""
        node_id = process.worker.machine.node_id
        self.processes.pop(node_id, None)
        process.is_dead = True
        self._say(process, "worker-offline")
        self.on_note(
            {
                "kind": "left",
                "hostname": process.worker.machine.hostname,
                "nodename": process.nodename,
                "pid": process.worker.pid,
                "started": process.worker.started,
            }
        )
        self.on_exit(node_id, 0)

    # -- work

    def _look(self) -> None:
        """Every worker looks into its queues."""
        for process in list(self.processes.values()):
            self._turn(process)
        self._clock.after(LOOKS_EVERY, self._look)

    def _turn(self, process: Process) -> None:
        worker = process.worker
        if self._is_stalled(process) or self._is_cut_off(process) or self._broker.is_down:
            return
        while process.done:
            self._finish(process, process.done.pop())
        if worker.leaving:
            if not worker.running and not process.on_its_way:
                self._exit(process)
            return
        if not worker.is_open:
            return
        for queue in worker.serves:
            need = amounts_of(worker.requirement_of(queue).get("constraints", {"ncpus": 1}))
            # One at a time is on its way: whether the next one fits shows when it runs.
            if not process.on_its_way and worker.has_room(need, exclusive=False):
                delivery = self._broker.take(queue, process)
                if delivery is not None:
                    process.on_its_way.append(delivery)
                    # Now and then it sits somewhere for long, in the buffer of a process, say.
                    slow = self._chance.random() < SLOW
                    pause = self._chance.uniform(10.0, 90.0) if slow else self._chance.uniform(0.02, 0.4)
                    self._clock.after(pause, lambda taken=delivery: self._arrive(process, taken))  # type: ignore[misc]

    def _arrive(self, process: Process, delivery: Delivery) -> None:
        """What was taken is here: it starts, or goes back."""
        if process.is_dead or delivery not in process.on_its_way:
            return
        if self._is_stalled(process):
            self._clock.after(1.0, lambda: self._arrive(process, delivery))
            return
        process.on_its_way.remove(delivery)
        worker, task = process.worker, delivery.task
        amounts = amounts_of({"ncpus": task.cores})
        if not worker.is_open or not worker.has_room(amounts, exclusive=False):
            self._broker.put_back(delivery)
            return
        job = SimJob(
            id=task.id,
            name="task",
            queue=task.queue,
            requirement={"constraints": {"ncpus": task.cores}},
            delivery=delivery,
            amounts=amounts,
            exclusive=False,
            seconds=task.seconds,
            started=self._clock.at,
        )
        worker.begin(job)
        process.busy_since, process.empty_since = process.busy_since or self._clock.at, 0.0
        task.starts.append((self._clock.at, process.name))
        self.on_start(process, delivery)
        self._say(process, "task-started", uuid=task.id)
        self._changed(process)
        self._clock.after(task.seconds, lambda: self._end(process, job))

    def _end(self, process: Process, job: SimJob) -> None:
        if process.is_dead:
            return
        if self._is_stalled(process):
            self._clock.after(process.stalled_until - self._clock.at, lambda: self._end(process, job))
            return
        process.worker.end(job.id)
        if not process.worker.running:
            process.busy_since, process.empty_since = 0.0, self._clock.at
        if self._is_cut_off(process) or self._broker.is_down:
            process.done.append(job)
        else:
            self._finish(process, job)
        self._changed(process)

    def _finish(self, process: Process, job: SimJob) -> None:
        seconds = self._clock.at - job.started
        process.worker.count(job, seconds)
        job.delivery.task.done = self._clock.at
        self._broker.acknowledge(job.delivery)
        self.on_done(process, job.delivery)
        self._say(process, "task-succeeded", uuid=job.id, runtime=seconds)

    # -- what they say

    def _say(self, process: Process, kind: str, **fields: Any) -> None:
        if self._is_stalled(process) or self._is_cut_off(process) or self._broker.is_down:
            return
        event = {
            "type": kind,
            "hostname": process.nodename,
            "timestamp": self._clock.at,
            "pid": process.worker.pid,
            **fields,
        }
        self.on_event(process, event)

    def _changed(self, process: Process) -> None:
        """It tells so, at most once a second."""
        node_id = process.worker.machine.node_id
        if node_id in self._due:
            return
        self._due.add(node_id)

        def tell() -> None:
            self._due.discard(node_id)
            if self.processes.get(node_id) is process:
                self._tell(process)

        self._clock.after(max(0.0, process.worker.told_at + TELL_SECONDS - self._clock.at), tell)

    def _tell(self, process: Process) -> None:
        process.worker.told_at = self._clock.at
        fields = process.worker.account()
        fields["named"] = True
        del fields["hostname"], fields["pid"]
        self._say(process, "worker-resources", **fields)

    def _beat(self) -> None:
        for process in list(self.processes.values()):
            if process.worker.told_at + BEAT_SECONDS <= self._clock.at:
                self._tell(process)
        self._clock.after(5.0, self._beat)

    def speak_up(self) -> None:
        """Somebody who has just begun to listen asks for a sign of life."""
        for process in list(self.processes.values()):
            self._say(process, "worker-heartbeat", freq=60.0)

    # -- what they are asked

    def ask(
        self, command: str, nodenames: Collection[str] | None, arguments: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        self._on_call(f"workers: {command}")
        self._broker._call(f"ask {command}")
        asked = [p for p in self.processes.values() if nodenames is None or p.nodename in nodenames]
        self._clock.sleep(self._chance.uniform(0.01, 0.2))
        answers = {p.nodename: said for p in asked if (said := self._obey(p, command, arguments or {}))}
        found = {name: said["ok"] for name, said in answers.items() if "ok" in said}
        is_whole = nodenames is not None and found.keys() >= set(nodenames)
        self._clock.sleep(self._chance.uniform(0.01, 0.2) if is_whole else ASK_TIMEOUT)
        self._on_call(f"workers: {command}, answered")
        return {**dict.fromkeys(answers), **found}

    def ask_aside(
        self,
        command: str,
        nodenames: Collection[str],
        arguments: Mapping[str, Any],
        take: Callable[[Mapping[str, Any]], object],
    ) -> None:
        asked = [p for p in self.processes.values() if p.nodename in nodenames]

        def answered() -> None:
            answers = {p.nodename: said for p in asked if (said := self._obey(p, command, arguments))}
            take({name: said["ok"] for name, said in answers.items() if "ok" in said})

        self._clock.after(ASK_TIMEOUT, answered)

    def tell(self, command: str, nodenames: Collection[str]) -> None:
        self._on_call(f"workers: tell {command}")
        self._broker._call(f"tell {command}")
        self._clock.sleep(self._chance.uniform(0.01, 0.1))
        for process in [p for p in self.processes.values() if p.nodename in nodenames]:
            self._obey(process, command, {})
        self._on_call(f"workers: tell {command}, done")

    def _obey(self, process: Process, command: str, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
        """What it answers; None: it does not hear it."""
        if process.is_dead or self._is_stalled(process) or self._is_cut_off(process):
            return None
        known = {"resources": {}}.get(command, arguments)
        said: dict[str, Any] = answer(process.worker, command, known)
        if command == "claims":
            said = {"ok": process.has}
        if command in CHANGING:
            self._changed(process)
        if isinstance(said.get("ok"), dict):
            said["ok"]["named"] = True
            process.reached_at = process.account_heard_at = self._clock.at
        return said

    def _connected(self) -> frozenset[str]:
        return frozenset(p.nodename for p in self.processes.values() if not self._is_cut_off(p))

    def _is_stalled(self, process: Process) -> bool:
        return process.stalled_until > self._clock.at

    def _is_cut_off(self, process: Process) -> bool:
        return process.cut_off_until > self._clock.at
