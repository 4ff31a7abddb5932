"""Nodes that are simulated: no process each, one thread for all of them, the same words on the wire.

Tasks are taken from the queues that nodes joined, take the number of seconds that their first argument (or
their argument `seconds`) says, and succeed. Enough for a control side to be tried with thousands of nodes;
not enough to run anything. Retries, failures and tasks with an ETA are not simulated: a message with an ETA
is run at once.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cyclecloud_emulator.fleet.machine import Machine, WorkerExit
from simulated_nodes import gangs
from simulated_nodes.commands import CHANGING, answer
from simulated_nodes.voice import Voice
from simulated_nodes.worker import SimJob, SimStanding, SimWorker, amounts_of, is_exclusive

if TYPE_CHECKING:
    from simulated_nodes.wire import Command, Delivery, SimWire

log = logging.getLogger(__name__)

TURN_SECONDS = 0.05
EMPTY_SECONDS = 0.1
"""How long a queue that was empty is left alone."""
MISFIT_SECONDS = 5.0
"""How long a queue is left alone after a message that does not fit where its queue says."""
MOST_PER_TURN = 500
"""Messages taken in one turn, so that commands are answered in between."""
RECONNECT_SECONDS = 1.0


class SimulatedFleet:
    """All simulated workers. Other threads only put orders into its inbox."""

    def __init__(
        self,
        connect: Callable[[], SimWire],
        *,
        on_exit: WorkerExit,
        control_queue: str = "",
        task_seconds: float = 1.0,
        task_events: bool = False,
    ) -> None:
        self._wire = connect()
        self._voice = Voice(self._wire.send, task_events=task_events)
        self._on_exit = on_exit
        self._control_queue = control_queue
        self._task_seconds = task_seconds
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._workers: dict[str, SimWorker] = {}
        """By node id. Read by other threads, changed only by the fleet's own."""
        self._by_name: dict[str, SimWorker] = {}
        self._standings: dict[str, SimStanding] = {}
        self._hopeful: dict[str, dict[str, SimWorker]] = {}
        """By queue: workers, by node id, that may have room for more of it."""
        self._empty_until: dict[str, float] = {}
        self._ends: list[tuple[float, int, SimWorker, str]] = []
        """When tasks end: the time, a number to break ties, the worker, the task id."""
        self._count = itertools.count()
        self._coming: set[str] = set()
        """Node ids whose worker was ordered and does not live yet."""
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="emulator-simulated", daemon=True)
        self._thread.start()

    # -- orders from other threads ---------------------------------------------------------------------

    def start(self, machine: Machine) -> None:
        """Start the worker of a node that is up."""
        self._coming.add(machine.node_id)
        self._inbox.put(lambda: self._begin_worker(machine))

    def stop(self, node_id: str, grace: float) -> None:
        """The machine goes away."""
        self._inbox.put(lambda: self._shut_down(node_id, grace))

    def busy(self, node_id: str) -> bool:
        """Whether the node has a worker."""
        return node_id in self._workers or node_id in self._coming

    def kill_worker(self, node_id: str) -> bool:
        """End the worker as a crash would."""
        there = self.busy(node_id)
        self._inbox.put(lambda: self._crash(node_id))
        return there

    def adopt(self, node_id: str) -> bool:
        """There is nothing: they are part of this process."""
        return False

    def end_others(self, known: Collection[str]) -> None:
        """There are none."""

    def close(self, *, keep: bool = False) -> None:
        """End all of them, as if every machine lost its power."""
        self._closed = True
        self._thread.join()

    # -- the thread ------------------------------------------------------------------------------------

    def _run(self) -> None:
        errors = self._wire.errors
        while not self._closed:
            try:
                self._wire.connect(self._obey)
                while not self._closed:
                    self._turn()
            except errors as error:
                log.warning("simulated nodes lost the broker, and try again: %s", error)
                self._begin_anew()
            except Exception:
                log.exception("simulated nodes failed, and begin anew")
                self._begin_anew()
        for node_id in list(self._workers):
            self._crash(node_id, tell=False)
        self._wire.close()

    def _turn(self) -> None:
        while not self._inbox.empty():
            self._inbox.get()()
        self._wire.drain(TURN_SECONDS)
        now = time.time()
        self._end_tasks(now)
        self._take_tasks(now)
        self._end_workers(now)
        self._voice.speak(now)

    def _begin_anew(self) -> None:
        """Without a connection there is no right to acknowledge: what ran will be run again by others."""
        time.sleep(RECONNECT_SECONDS)
        self._wire.disconnect()
        self._ends.clear()
        for worker in self._workers.values():
            for job_id in list(worker.running):
                worker.end(job_id)
            if worker.standing.gang is not None:
                worker.standing.gang.role = gangs.FOLLOWS
            self._hope(worker)

    # -- workers ---------------------------------------------------------------------------------------

    def _begin_worker(self, machine: Machine) -> None:
        standing = self._standings.setdefault(machine.node_id, SimStanding())
        worker = SimWorker(machine=machine, standing=standing, started=time.time())
        self._workers[machine.node_id] = worker
        self._by_name[worker.nodename] = worker
        self._coming.discard(machine.node_id)
        self._hope(worker)
        self._voice.begin(worker, worker.started)

    def _shut_down(self, node_id: str, grace: float) -> None:
        worker = self._workers.get(node_id)
        if worker is None:
            return
        if grace <= 0:
            self._crash(node_id, tell=False)
            return
        worker.leaving = True
        worker.ends_at = time.time() + grace

    def _end_workers(self, now: float) -> None:
        for node_id, worker in [(i, w) for i, w in self._workers.items() if w.leaving]:
            if not worker.running:
                self._leave(node_id, worker)
            elif worker.ends_at is not None and now >= worker.ends_at:
                self._crash(node_id, tell=False)

    def _leave(self, node_id: str, worker: SimWorker) -> None:
        """A clean end: say goodbye, and last of all that nothing was left behind."""
        self._voice.goodbye(worker, time.time())
        self._drop(node_id, worker)
        if self._control_queue:
            self._wire.note(
                self._control_queue,
                {
                    "kind": "left",
                    "hostname": worker.machine.hostname,
                    "nodename": worker.nodename,
                    "pid": worker.pid,
                    "started": worker.started,
                    "at": datetime.now(UTC).isoformat(),
                    "returned": 0,
                },
            )
        if worker.ends_at is None:
            self._on_exit(node_id, 0)

    def _crash(self, node_id: str, *, tell: bool = True) -> None:
        """The worker is gone from one moment to the next and says nothing."""
        worker = self._workers.get(node_id)
        if worker is None:
            return
        # It is gone before the broker is told: without a connection that fails, and is not needed.
        self._drop(node_id, worker)
        if tell:
            self._on_exit(node_id, -9)
        for job in worker.running.values():
            self._wire.lose(job.delivery.message)

    def _drop(self, node_id: str, worker: SimWorker) -> None:
        del self._workers[node_id]
        if self._by_name.get(worker.nodename) is worker:
            del self._by_name[worker.nodename]
        self._voice.forget(worker)
        for hopeful in self._hopeful.values():
            hopeful.pop(node_id, None)

    def _hope(self, worker: SimWorker) -> None:
        """The worker may have room again."""
        if worker.is_open:
            for name in worker.serves:
                self._hopeful.setdefault(name, {})[worker.machine.node_id] = worker

    # -- tasks -----------------------------------------------------------------------------------------

    def _take_tasks(self, now: float) -> None:
        left = MOST_PER_TURN
        for name in list(self._hopeful):
            while left and now >= self._empty_until.get(name, 0.0):
                worker = self._with_room(name)
                if worker is None:
                    break
                left -= 1
                delivery = self._wire.get(name)
                if delivery is None:
                    self._empty_until[name] = now + EMPTY_SECONDS
                else:
                    self._begin_task(worker, name, delivery)

    def _with_room(self, name: str) -> SimWorker | None:
        """A worker that has room for a task of this queue; those that have none are struck off."""
        hopeful = self._hopeful[name]
        while hopeful:
            node_id, worker = next(iter(hopeful.items()))
            requirement = worker.requirement_of(name)
            serves = worker.is_open and name in worker.serves
            if serves and worker.has_room(
                amounts_of(requirement.get("constraints", {})), is_exclusive(requirement)
            ):
                return worker
            del hopeful[node_id]
        return None

    def _begin_task(self, worker: SimWorker, name: str, delivery: Delivery) -> None:
        requirement = delivery.requirement or worker.requirement_of(name)
        amounts, exclusive = amounts_of(requirement.get("constraints", {})), is_exclusive(requirement)
        gang = worker.standing.gang
        if not worker.has_room(amounts, exclusive) or (gangs.is_gang(requirement) and gang is None):
            # It needs more than its queue says; a worker that holds it would only be in the way.
            delivery.message.requeue()
            worker.returned += 1
            self._empty_until[name] = time.time() + MISFIT_SECONDS
            return
        if gang is not None:
            gang.role, gang.job_id = gangs.RUNS, delivery.id
        now = time.time()
        job = SimJob(
            id=delivery.id,
            name=delivery.name,
            queue=name,
            requirement=requirement,
            delivery=delivery,
            amounts=amounts,
            exclusive=exclusive,
            seconds=_seconds(delivery, self._task_seconds),
            started=now,
        )
        worker.begin(job)
        heapq.heappush(self._ends, (now + job.seconds, next(self._count), worker, job.id))
        self._voice.task(worker, "task-received", uuid=job.id, name=job.name, retries=0)
        self._voice.task(worker, "task-started", uuid=job.id)
        self._voice.change(worker)

    def _end_tasks(self, now: float) -> None:
        while self._ends and self._ends[0][0] <= now:
            _, _, worker, job_id = heapq.heappop(self._ends)
            node_id = worker.machine.node_id
            if self._workers.get(node_id) is not worker or job_id not in worker.running:
                continue
            job = worker.end(job_id)
            worker.processed += 1
            worker.count(job, now - job.started)
            result = {"simulated": True, "host": worker.nodename, "start": job.started, "end": now}
            if not job.delivery.ignore_result:
                self._wire.store(job.id, result)
            job.delivery.message.ack()
            self._voice.task(worker, "task-succeeded", uuid=job.id, result="{}", runtime=now - job.started)
            self._end_gang(worker, job_id)
            self._hope(worker)
            self._voice.change(worker)

    def _end_gang(self, head: SimWorker, job_id: str) -> None:
        """The task of a gang has ended: its members are free, and the control side hears of it."""
        gang = head.standing.gang
        if gang is None or gang.job_id != job_id:
            return
        gang.role = gangs.DONE
        for name in gang.members:
            member = self._by_name.get(name)
            if member is not None:
                member.standing.gang = gangs.disband(member.standing.gang, gang.id)
                self._hope(member)
                self._voice.change(member)
        if self._control_queue:
            facts = {"kind": "gang-ended", "gang": gang.id, "members": list(gang.members)}
            self._wire.note(self._control_queue, facts)

    def _fail_gang(self, head: SimWorker) -> None:
        """A gang lost a member: its task fails."""
        host, head.lost_member = head.lost_member, ""
        gang = head.standing.gang
        if gang is None or gang.job_id not in head.running:
            return
        job = head.end(gang.job_id)
        self._wire.fail(job.id, f"the gang lost its node {host}")
        job.delivery.message.ack()
        self._voice.task(
            head, "task-failed", uuid=job.id, exception=f"GangMemberLost({host!r})", traceback=""
        )
        self._end_gang(head, job.id)

    # -- commands --------------------------------------------------------------------------------------

    def _obey(self, command: Command) -> None:
        if command.destination is None:
            workers = list(self._workers.values())
        else:
            workers = [self._by_name[name] for name in command.destination if name in self._by_name]
        for worker in workers:
            self._wire.reply(command, worker.nodename, answer(worker, command.method, command.arguments))
            self._hope(worker)
            if command.method == "heartbeat":
                self._voice.heartbeat(worker)
            elif command.method in CHANGING:
                self._voice.change(worker)
            if worker.lost_member:
                self._fail_gang(worker)


def _seconds(delivery: Delivery, otherwise: float) -> float:
    """How long the task says that it takes."""
    said = delivery.kwargs.get("seconds", delivery.args[0] if delivery.args else None)
    if isinstance(said, int | float) and not isinstance(said, bool) and 0 <= said < 86_400:
        return float(said)
    return otherwise
