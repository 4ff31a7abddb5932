"""Random histories of workers, told over a network that loses, repeats and delays, against the truth."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from autoscaler_app.listening.activity import Activity

START = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
ANSWERS_WITHIN = 3.0
"""Seconds after which an answer has come or never will; the deadline of a question is shorter."""
NODES = ["celery@n1", "celery@n2", "extra@n2"]


@dataclass
class Truth:
    """One worker, as it really is."""

    nodename: str
    pid: int = 1
    started: float = 0.0
    seq: int = 0
    running: dict[str, float] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)

    def payload(self, now: float) -> dict[str, Any]:
        self.seq += 1
        return {
            "nodename": self.nodename,
            "pid": self.pid,
            "seq": self.seq,
            "started": self.started,
            "running": [{"id": i, "queue": "q", "started": s} for i, s in self.running.items()],
            "held": [{"id": i, "queue": "q"} for i in sorted(self.held)],
            "machine": {"space": "one machine"},
        }

    def answer(self, now: float) -> dict[str, Any]:
        """It looks which of the processes before it are there."""
        return {**self.payload(now), "gone": list(range(1, self.pid))}


class Machine(RuleBasedStateMachine):
    """Workers start and end tasks, die and come back; what they say is delivered in part."""

    lossy: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.activity = Activity()
        self.clock = START.timestamp()
        self.workers: dict[str, Truth] = {}
        self.events: dict[str, deque[dict[str, Any]]] = {name: deque() for name in NODES}
        self.answers: list[tuple[float, dict[str, Any]]] = []
        self.heard_running: dict[str, set[str]] = {name: set() for name in NODES}
        self.heard_over: dict[str, set[str]] = {name: set() for name in NODES}
        self.number = 0

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock, UTC)

    @initialize()
    def begin(self) -> None:
        for name in NODES:
            self.workers[name] = Truth(name, started=self.clock)

    # -- what happens

    def tick(self, seconds: float = 0.01) -> None:
        self.clock += seconds

    def tell(self, worker: Truth, kind: str, **facts: Any) -> None:
        self.tick()
        self.events[worker.nodename].append(
            {"type": kind, "hostname": worker.nodename, "pid": worker.pid, "timestamp": self.clock, **facts}
        )

    @rule(name=st.sampled_from(NODES))
    def receive(self, name: str) -> None:
        self.number += 1
        worker, task_id = self.workers[name], f"t{self.number}"
        worker.held.add(task_id)
        self.tell(worker, "task-received", uuid=task_id)

    @rule(name=st.sampled_from(NODES), data=st.data())
    def start(self, name: str, data: st.DataObject) -> None:
        worker = self.workers[name]
        if not worker.held:
            return
        task_id = data.draw(st.sampled_from(sorted(worker.held)))
        worker.held.remove(task_id)
        self.tick()
        worker.running[task_id] = self.clock
        self.events[name].append(
            {
                "type": "task-started",
                "uuid": task_id,
                "hostname": name,
                "pid": worker.pid,
                "timestamp": self.clock,
            }
        )

    @rule(
        name=st.sampled_from(NODES),
        data=st.data(),
        how=st.sampled_from(["succeeded", "failed", "retried", "revoked"]),
    )
    def end(self, name: str, data: st.DataObject, how: str) -> None:
        worker = self.workers[name]
        if not worker.running:
            return
        task_id = data.draw(st.sampled_from(sorted(worker.running)))
        del worker.running[task_id]
        self.tell(worker, f"task-{how}", uuid=task_id, runtime=1.0)
        if how == "retried":  # it comes back, to whoever takes it
            other = self.workers[data.draw(st.sampled_from(NODES))]
            other.held.add(task_id)
            self.tell(other, "task-received", uuid=task_id)

    @rule(name=st.sampled_from(NODES))
    def report(self, name: str) -> None:
        worker = self.workers[name]
        self.tick()
        payload = worker.payload(self.clock)
        self.tell(worker, "worker-resources", **{k: v for k, v in payload.items() if k != "pid"})

    @rule(name=st.sampled_from(NODES))
    def is_asked(self, name: str) -> None:
        self.tick()
        self.answers.append((self.clock, self.workers[name].answer(self.clock)))

    @rule(name=st.sampled_from(NODES))
    def dies_and_is_started_again(self, name: str) -> None:
        worker = self.workers[name]
        self.tick()
        self.workers[name] = Truth(name, pid=worker.pid + 1, started=self.clock)
        self.tell(self.workers[name], "worker-online")

    @rule(seconds=st.floats(0.1, 60))
    def time_passes(self, seconds: float) -> None:
        self.tick(seconds)
        self.answers = [(at, a) for at, a in self.answers if self.clock - at < ANSWERS_WITHIN]

    @rule()
    def the_control_worker_is_restarted(self) -> None:
        self.activity = Activity()
        for heard in (*self.heard_running.values(), *self.heard_over.values()):
            heard.clear()

    @rule()
    def the_listener_connects_again(self) -> None:
        self.activity.doubt()
        assert all(host.told is None for host in self.activity.hosts())

    # -- what is heard

    @precondition(lambda self: any(self.events.values()))
    @rule(data=st.data())
    def an_event_arrives(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([name for name, events in self.events.items() if events]))
        self.hear(self.events[name].popleft())

    @precondition(lambda self: any(self.events.values()))
    @rule(data=st.data())
    def everything_so_far_arrives(self, data: st.DataObject) -> None:
        for events in self.events.values():
            while events:
                self.hear(events.popleft())

    @precondition(lambda self: self.answers)
    @rule(data=st.data())
    def an_answer_arrives(self, data: st.DataObject) -> None:
        at, payload = self.answers.pop(data.draw(st.integers(0, len(self.answers) - 1)))
        if self.clock - at < ANSWERS_WITHIN:
            self.activity.merge(payload, self.now)

    @precondition(lambda self: self.lossy and any(self.events.values()))
    @rule(data=st.data())
    def an_event_is_lost(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([name for name, events in self.events.items() if events]))
        self.events[name].popleft()

    @precondition(lambda self: self.lossy and any(self.events.values()))
    @rule(data=st.data())
    def an_event_is_delayed(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([name for name, events in self.events.items() if events]))
        self.events[name].rotate(-1)

    @precondition(lambda self: self.lossy and any(self.events.values()))
    @rule(data=st.data())
    def an_event_arrives_twice(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([name for name, events in self.events.items() if events]))
        event = self.events[name].popleft()
        self.hear(event)
        self.hear(event)

    def hear(self, event: dict[str, Any]) -> None:
        self.activity.apply(event, self.now)

    # -- what must hold

    def believed(self) -> dict[str, tuple[set[str], set[str]]]:
        found: dict[str, tuple[set[str], set[str]]] = {}
        for host in self.activity.hosts():
            for worker in host.workers:
                found[worker.nodename] = (
                    {task.id for task in host.running if task.nodename == worker.nodename},
                    {task.id for task in host.held},
                )
        return found

    @invariant()
    def memory_is_bounded(self) -> None:
        counters = self.activity.counters()
        assert counters.workers <= len(NODES)
        assert counters.rejected == 0

    @invariant()
    def a_host_is_put_together_anew_when_it_has_said_something(self) -> None:
        kept = self.activity.hosts()
        self.activity._lives._together.clear()
        assert self.activity.hosts() == kept

    def teardown(self) -> None:
        """Once everybody has told again, the belief is the truth, whatever was lost, late or twice before."""
        self.tick(ANSWERS_WITHIN)
        for name in NODES:
            self.events[name].clear()
            if name in self.workers:
                worker = self.workers[name]
                self.tell(worker, "worker-heartbeat")
                self.report(name)
        for events in self.events.values():
            while events:
                self.hear(events.popleft())
        for worker in self.workers.values():
            self.activity.merge(worker.answer(self.clock), self.now)
        for life in [life for host in self.activity.hosts() for life in host.workers if life.is_earlier]:
            assert not life.started, (
                "of one that never told where it is nothing can be shown: its time runs out"
            )
            self.activity.forget_worker(life.nodename, life.pid)
        for host in self.activity.hosts():
            mine = [
                worker for worker in self.workers.values() if worker.nodename.endswith(f"@{host.hostname}")
            ]
            assert {task.id for task in host.running} == {i for worker in mine for i in worker.running}
            assert {task.id for task in host.held} == {i for worker in mine for i in worker.held}
            assert host.told is not None


class FaithfulMachine(Machine):
    """Events are late but never lost, doubled or out of order; answers come by their own way."""

    lossy = False

    def hear(self, event: dict[str, Any]) -> None:
        super().hear(event)
        name, kind = event["hostname"], event["type"]
        if kind == "task-started":
            self.heard_running[name].add(event["uuid"])
            self.heard_over[name].discard(event["uuid"])
        elif kind.startswith("task-") and kind != "task-received":
            self.heard_running[name].discard(event["uuid"])
            self.heard_over[name].add(event["uuid"])
        elif kind == "worker-online":
            self.heard_running[name].clear()

    @invariant()
    def what_was_heard_to_start_and_not_to_end_is_never_forgotten(self) -> None:
        """Whatever answers arrive in between: a busy worker never looks idle."""
        believed = self.believed()
        for name, heard in self.heard_running.items():
            worker = self.workers.get(name)
            if worker is not None and worker.pid == self.pid_heard(name):
                still = heard & worker.running.keys()
                assert still <= believed.get(name, (set(), set()))[0]

    @invariant()
    def what_was_heard_to_end_is_never_revived(self) -> None:
        """Whatever answers arrive in between: a node that is done does not look busy again."""
        believed = self.believed()
        for name, over in self.heard_over.items():
            worker = self.workers.get(name)
            if worker is not None and worker.pid == self.pid_heard(name):
                assert not (over - worker.running.keys()) & believed.get(name, (set(), set()))[0]

    def pid_heard(self, name: str) -> int | None:
        for host in self.activity.hosts():
            for worker in reversed(host.workers):
                if worker.nodename == name:
                    return worker.pid
        return None


SETTINGS = settings(max_examples=100, stateful_step_count=40, deadline=timedelta(seconds=2))

TestLossy = pytest.mark.timeout(300)(Machine.TestCase)
TestLossy.settings = SETTINGS
TestFaithful = pytest.mark.timeout(300)(FaithfulMachine.TestCase)
TestFaithful.settings = SETTINGS
