"""One history: a world is made of a script, goes on until it is at rest, and is looked at at every step."""

from __future__ import annotations

import gc
import logging
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

from autoscaler_app.passes.snapshot import Snapshot
from cyclecloud_emulator.cluster.node import Phase
from cyclecloud_emulator.trouble import faults as api
from cyclecloud_emulator.trouble.lies import LieKind
from cyclecloud_emulator.trouble.mishaps import Mishap, MishapKind
from scalelib import sqlitefile
from tests.simulator.broker import SimBroker, Task
from tests.simulator.checks import Checks, Violation
from tests.simulator.clock import Clock
from tests.simulator.cloud import SimCloud, same_ids
from tests.simulator.script import Batch, Fault, Kind, Script
from tests.simulator.side import INTERVAL, Side
from tests.simulator.workers import Process, SimWorkers

LONGEST = 3600.0
"""Seconds after the last thing that goes wrong within which everything has come to rest."""
QUEUES = {1: "celery", 2: "res:ncpus=2", 4: "res:ncpus=4"}


@dataclass(kw_only=True)
class Outcome:
    """What came of it."""

    script: Script
    lines: list[str]
    """The history, a line for each thing that happened."""
    violation: Violation | None = None
    snapshot: Snapshot | None = None
    """That was decided from last."""
    seconds: float = 0.0
    """How long it took, by the clock of the history."""
    passes: int = 0
    tasks: int = 0
    nodes: int = 0
    crashes: int = 0
    cost: float = 0.0
    hindsight: float = 0.0
    bound: float = 0.0
    """The most that it might have cost."""


@dataclass
class World:
    """Everything there is in a history."""

    script: Script
    folder: Path
    lines: list[str] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    passes: int = 0
    crashes: int = 0
    faults_done: int = 0

    def __post_init__(self) -> None:
        chance = Random(self.script.seed)
        self.chance, self.clock = chance, Clock()
        self.broker = SimBroker(self.clock, self.script.broker, self._call)
        self.workers = SimWorkers(self.clock, self.broker, chance, self._call)
        self.side = Side(self.clock, self.broker, self.workers, self.folder, chance)
        self.cloud = self.side.cloud = SimCloud(
            self.clock, self.workers, chance, self._call, self.script.seed
        )
        self.workers.on_exit = lambda node_id, code: self.cloud.life.worker_exited(
            node_id, code, self.clock.at
        )
        self.side.say = self.say
        self.trouble_until = 0.0
        """Until then something goes wrong, by the clock."""
        self.last = max(
            [
                0.0,
                *(b.at + b.gap * (b.count - 1) for b in self.script.batches),
                *(f.at + f.seconds for f in self.script.faults),
            ]
        )
        """When the last thing happens that is drawn."""
        self.checks = Checks(self)

    def say(self, sentence: str) -> None:
        """One line of the history."""
        self.lines.append(f"{self.clock.passed:7.1f}  {sentence}")

    @property
    def is_calm(self) -> bool:
        """Nothing is wrong now but what was left behind."""
        side = self.side
        waits_to_die = side.kill_at is not None
        return not (self.clock.at < self.trouble_until or side.control is None or waits_to_die)

    def _call(self, what: str) -> None:
        self.side.point(what)

    def run(self) -> None:
        """Until everything is at rest; raises Violation."""
        for batch in self.script.batches:
            self.clock.after(batch.at, lambda batch=batch: self._send(batch))  # type: ignore[misc]
        for number, fault in enumerate(self.script.faults):
            self.clock.after(fault.at, lambda f=fault, n=number: self._do(f, n))  # type: ignore[misc]
        self.side.start()
        self.clock.after(INTERVAL, self.side.beat)
        self.clock.after(1.0, self.side.look_for_notes)
        while not self._is_at_rest():
            if self.clock.passed > self.last + LONGEST:
                self.checks.never_at_rest()
            self.clock.sleep(5.0)
            self.checks.now()
        self.checks.at_the_end()

    def _is_at_rest(self) -> bool:
        return (
            self.clock.passed > self.last + 1.0
            and all(task.done is not None for task in self.tasks)
            and not self.cloud.nodes()
        )

    def _send(self, batch: Batch) -> None:
        self.say(str(batch))
        self.side.announce(QUEUES[batch.cores], batch.cores)
        for number in range(batch.count):
            self.clock.after(number * batch.gap, lambda: self._send_one(batch))

    def _send_one(self, batch: Batch) -> None:
        made = Task(
            id=f"t{len(self.tasks) + 1}",
            queue=QUEUES[batch.cores],
            cores=batch.cores,
            seconds=batch.seconds,
            sent=self.clock.at,
        )
        self.tasks.append(made)
        self.broker.send(made)

    # -- what goes wrong

    def _do(self, fault: Fault, number: int) -> None:
        self.say(f"fault: {fault}")
        self.faults_done += 1
        until = self.clock.at + fault.seconds
        self.trouble_until = max(self.trouble_until, until)
        side, chance = self.side, Random(self.script.seed * 1000 + number)
        match fault.kind:
            case Kind.LOSE:
                side.lose = lambda: self.clock.at < until and chance.random() < fault.share
            case Kind.DELAY:
                side.delay = lambda: chance.uniform(3.0, 40.0) if self.clock.at < until else 0.0
            case Kind.DEAF:
                side.be_deaf(fault.seconds)
            case Kind.STALL:
                for process in self._some(fault.which):
                    process.stalled_until = until
            case Kind.CUT_OFF:
                for process in list(self.workers.processes.values()):
                    if chance.random() < fault.share:
                        self.workers.cut_off(process, until)
                        self.say(f"{process.name} is cut off")
            case Kind.KILL:
                for process in self._some(fault.which):
                    self.say(f"{process.name} is killed; it had {', '.join(process.has) or 'nothing'}")
                    self.workers.kill_worker(process.worker.machine.node_id)
            case Kind.EVICT | Kind.VANISH:
                self._take_back(fault)
            case Kind.SET_CLOCK:
                self.clock.wrong_by += fault.by
            case Kind.CRASH:
                side.kill_at, side.down_for = fault.which, fault.seconds
                self.crashes += 1
            case Kind.RESTART:
                side.down_for = fault.seconds
                if not side._in_pass:
                    side.die()
            case Kind.BROKER:
                self.broker.is_down = True
                side.be_deaf(fault.seconds)
                self.clock.after(fault.seconds, self._broker_is_back)
            case Kind.API | Kind.LIE:
                self._harm_calls(fault)
            case Kind.STALE:
                self.cloud.stale_until = until
            case Kind.MISHAP:
                self.cloud.state.mishaps.add(Mishap(kind=MishapKind(fault.what), times=1 + fault.which))

    def _some(self, which: int) -> Iterator[Process]:
        there = list(self.workers.processes.values())
        if there:
            yield there[which % len(there)]

    def _take_back(self, fault: Fault) -> None:
        nodes = [node for node in self.cloud.nodes() if node.phase is Phase.READY]
        if not nodes:
            return
        node = nodes[fault.which % len(nodes)]
        process = self.workers.processes.get(node.id)
        had = ", ".join(process.has) if process else ""
        self.say(f"{node.name} is taken back; it had {had or 'nothing'}")
        if fault.kind is Kind.EVICT:
            self.cloud.life.evict(node, self.clock.at, notice=0.0)
        else:
            self.cloud.life.vanish(node, self.clock.at)

    def _broker_is_back(self) -> None:
        self.broker.is_down = False

    def _harm_calls(self, fault: Fault) -> None:
        if fault.kind is Kind.LIE:
            rule = api.Fault(kind=api.FaultKind.LIE, lie=LieKind(fault.what), method="GET")
        else:
            kind = api.FaultKind(fault.what)
            only = "nodes/create" if kind is api.FaultKind.FEWER else None
            rule = api.Fault(kind=kind, chance=fault.share, seconds=30.0, path=only)
        self.cloud.faults.add(rule)
        added = list(self.cloud.faults)[-1]

        def over() -> None:
            self.cloud.faults._rules = [each for each in self.cloud.faults if each is not added]

        self.clock.after(fault.seconds, over)


@contextmanager
def _quiet() -> Iterator[None]:
    """The log of a pass is not what a history is told in."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


@contextmanager
def _without_waiting() -> Iterator[None]:
    """No transaction waits for a disk, and memory is tidied up between histories.

    A power cut is none of the things that go wrong here: what SQLite wrote, a killed process has written.
    """
    open_shared = sqlitefile.open_shared

    def opened(path: Any, **how: Any) -> Any:
        db = open_shared(path, **how)
        db.execute("PRAGMA synchronous = OFF")
        return db

    gc.disable()
    try:
        with patch.object(sqlitefile, "open_shared", opened):
            yield
    finally:
        gc.enable()


def run(script: Script, folder: Path | None = None) -> Outcome:
    """One history from beginning to end."""
    with ExitStack() as stack:
        above = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="simulator-")))
        own = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=above)))
        stack.enter_context(_quiet())
        stack.enter_context(same_ids(script.seed))
        stack.enter_context(_without_waiting())
        world = World(script, own)
        stack.enter_context(world.side.hooks())
        outcome = Outcome(script=script, lines=world.lines)
        try:
            world.run()
        except Violation as violation:
            outcome.violation = violation
        finally:
            world.side.close()
        decided = world.checks.last_decided
        outcome.snapshot = None if decided is None else decided[0]
        outcome.seconds, outcome.passes = world.clock.passed, world.passes
        outcome.tasks, outcome.crashes = len(world.tasks), world.crashes
        outcome.hindsight, outcome.bound = world.checks.hindsight(), world.checks.most_money()
        outcome.nodes, outcome.cost = world.cloud.state.ledger.created, world.cloud.cost()
        return outcome
