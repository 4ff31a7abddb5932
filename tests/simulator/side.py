"""The control side: the real one, put together in this process; all that it reaches is in our hand.

It can be killed at every point of a pass: before and after each call of the cloud, the broker, the workers,
and before and after each transaction of the state file.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from autoscaler_app.listening.activity import Activity, ChangeKind, coming
from autoscaler_app.listening.notes import Notes
from autoscaler_app.memory.figures import FiguresBook
from autoscaler_app.memory.queues import KnownQueues
from autoscaler_app.memory.runtimes import Runtimes
from autoscaler_app.memory.state import State
from autoscaler_app.memory.stories.book import StoryBook
from autoscaler_app.passes import one_pass
from autoscaler_app.passes.control import Control
from autoscaler_app.passes.decide.decision import Decision
from autoscaler_app.passes.observe.strays import StrayWatch
from autoscaler_app.passes.report import Report
from autoscaler_app.passes.snapshot import Snapshot
from autoscaler_app.periodic import Periodic
from autoscaler_app.settings import Settings, read_autoscaler
from cyclecloud_api.client import CycleCloudClient
from cyclecloud_api.intents import SQLiteIntents
from cyclecloud_api.lockout import Lockout
from cyclecloud_api.provider import CycleCloudProvider
from cyclecloud_api.settings import rules
from cyclecloud_api.store import StateFile
from cyclecloud_api.watch import SQLiteMemory, Watch
from cyclecloud_api.wire import Wire
from scalelib.history import SQLiteNodeHistory
from scalelib.sqlitefile import SharedFile
from tests.simulator.broker import SimBroker
from tests.simulator.clock import Clock
from tests.simulator.cloud import PRICES, SimCloud
from tests.simulator.workers import Event, Process, SimWorkers

INTERVAL = 30.0
"""Seconds from pass to pass."""
IDLE, BOOT, JOIN, SILENT, DRAIN, LEAVE = 50.0, 240.0, 100.0, 120.0, 300.0, 120.0
"""The timeouts, in seconds."""
CONFIG: Mapping[str, Any] = {
    "url": "http://127.0.0.1:1",
    "cluster_name": "sim",
    "prices": PRICES,
    "idle_timeout": IDLE,
    "boot_timeout": BOOT,
    "solver": False,
    "cyclecloud": {
        "capacity_backoff": 60.0,
        "trouble_backoff": 30.0,
        "leave_timeout": LEAVE,
        "failed_timeout": 60.0,
    },
    "autoscaler": {
        "join_timeout": JOIN,
        "silent_timeout": SILENT,
        "hunger_timeout": 120.0,
        "drain_timeout": DRAIN,
        "give_back_after": 40.0,
        "futile_backoff": 120.0,
        "futile_retry": 300.0,
    },
}


class Killed(BaseException):
    """The process of the control side is gone: nothing after this line is run."""


class _NoLease:
    """That of a control side which is alone."""

    @contextmanager
    def for_a_pass(self) -> Iterator[None]:
        yield

    def check(self) -> None:
        pass

    def stop(self) -> None:
        pass


class Side:
    """The machine of the control side: its state file, and the process that lives on it, if one does."""

    def __init__(
        self, clock: Clock, broker: SimBroker, workers: SimWorkers, folder: Path, chance: Random
    ) -> None:
        self._clock, self._broker, self._workers, self._chance = clock, broker, workers, chance
        self.cloud: SimCloud
        self._folder = folder
        self._settings = Settings(
            config=dict(CONFIG), autoscaler=read_autoscaler(CONFIG, "the simulator"), folder=folder
        )
        self.control: Control | None = None
        self._listener: Any = None
        self._notes: list[Mapping[str, Any]] = []
        """In the broker's queue of notes."""
        self._in_pass = False
        self.is_asked = False
        """For a pass, which comes in a moment."""
        self._points = 0
        """Of the pass that is being made, so far."""
        self.kill_at: int | None = None
        """The next pass dies at this one."""
        self.down_for = 0.0
        self._is_gone = False
        self.deaf_until = 0.0
        self.lose: Callable[[], bool] = lambda: False
        self.delay: Callable[[], float] = lambda: 0.0
        self.doubted_at = 0.0
        """When what every worker does became unknown."""
        self.decided: list[tuple[Snapshot, Decision]] = []
        """Of the pass that was made last."""
        self.on_pass: Callable[[Report], None] = lambda report: None
        self.say: Callable[[str], None] = lambda sentence: None
        workers.on_event, workers.on_note = self.hear, self._notes.append

    # -- living and dying

    def start(self) -> None:
        """As when its machine is started, or its worker."""
        path, clock = self._settings.state_file, self._clock
        if not path.exists():
            shutil.copyfile(_empty_file(self._folder), path)
        self._is_gone = False
        state, file = State(path), StateFile(path)
        wire = Wire(
            CONFIG["url"],
            "simulator",
            "simulator",
            timeout=20.0,
            transport=self.cloud,
            lockout=Lockout(clock=clock.monotonic),
            clock=clock.monotonic,
            sleep=clock.sleep,
            jitter=self._chance.random,
        )
        provider = CycleCloudProvider(
            CycleCloudClient("", "", "", "sim", wire=wire),
            prices=PRICES,
            config=CONFIG,
            intents=SQLiteIntents(file),
            watch=Watch(rules(CONFIG), SQLiteMemory(file)),
            now=clock.wall,
        )
        app: Any = SimpleNamespace(conf={})
        activity = Activity()
        activity.expect(coming.from_json(state.fact("coming") or ()), clock.wall())
        self._listener = SimpleNamespace(
            connected_since=clock.wall(),
            connections=1,
            lag=None,
            clock_was_set=self._clock_was_set,
            stop=lambda: None,
        )
        lease: Any = _NoLease()
        self.control = Control(
            app=app,
            settings=self._settings,
            state=state,
            history=SQLiteNodeHistory(path),
            stories=StoryBook(path),
            figures=FiguresBook(path),
            provider=provider,
            broker=self._broker,
            workers=self._workers,
            activity=activity,
            queues=KnownQueues(app, self._settings, state),
            runtimes=Runtimes.from_json(state.fact("runtimes") or {}),
            periodic=Periodic("", state),
            strays=StrayWatch(self._settings.autoscaler.give_back_after, clock.monotonic),
            lease=lease,
            nodename="control@broker",
            listener=self._listener,
            now=clock.wall,
            monotonic=clock.monotonic,
        )
        self.doubted_at = clock.at
        self._workers.speak_up()
        self._ask_for_a_pass(0.5)

    def die(self) -> None:
        """Without a word, and not for ever."""
        if self.control is None:
            return
        control, self.control, self._listener = self.control, None, None
        self._is_gone = True
        control.close()
        self._clock.after(self.down_for, self._start_again)

    def _start_again(self) -> None:
        if self.control is None:
            self.start()

    def close(self) -> None:
        """At the end of a history."""
        if self.control is not None:
            self.control.close()

    @property
    def is_held(self) -> bool:
        """The circuit breaker, say, forbids to end anything."""
        return self.control is None or bool(self.control.provider.no_ending)

    def point(self, what: str) -> None:
        """Here it may be killed; and one that has been does nothing any more."""
        if not self._in_pass:
            return
        if self._is_gone:
            raise Killed
        self._points += 1
        if self._points == self.kill_at:
            self.kill_at, self._is_gone = None, True
            self.say(f"the control side is killed: point {self._points} of the pass, {what}")
            raise Killed

    def _clock_was_set(self, by: Any, now: Any) -> None:
        if self._listener.connected_since is not None:
            self._listener.connected_since = min(self._listener.connected_since + by, now)

    # -- passes

    def beat(self) -> None:
        """A pass every so often."""
        self.make_pass()
        self._clock.after(INTERVAL, self.beat)

    def _ask_for_a_pass(self, seconds: float = 2.0) -> None:
        if not self.is_asked:
            self.is_asked = True
            self._clock.after(seconds, self._asked)

    def _asked(self) -> None:
        self.is_asked = False
        self.make_pass()

    def make_pass(self) -> None:
        """One, if there is anybody to make it."""
        if self.control is None or self._in_pass:
            return
        self._take_notes()
        self._in_pass, self._points, self.decided = True, 0, []
        try:
            report = one_pass.make_pass(self.control)
        except Killed:
            self._in_pass = False
            self.die()
            return
        finally:
            self._in_pass = False
        if report.again:
            self._ask_for_a_pass()
        self.on_pass(report)

    @contextmanager
    def hooks(self) -> Iterator[None]:
        """Within, every transaction is a point, and what is decided is written down."""
        transaction, decide = SharedFile.transaction, one_pass.decide

        @contextmanager
        def at_points(file: SharedFile) -> Iterator[Any]:
            self.point("before a transaction")
            with transaction(file) as db:
                yield db
            self.point("after a transaction")

        def noted(snapshot: Snapshot) -> Decision:
            decision = decide(snapshot)
            self.decided.append((snapshot, decision))
            return decision

        with patch.object(SharedFile, "transaction", at_points), patch.object(one_pass, "decide", noted):
            yield

    # -- listening

    def hear(self, process: Process, event: Event) -> None:
        """What a worker says is on its way."""
        if not self.lose():
            pause = self._chance.uniform(0.01, 0.2) + self.delay()
            self._clock.after(pause, lambda: self._heard(process, event))

    def _heard(self, process: Process, event: Event) -> None:
        if self.control is None or self._is_gone or self._clock.at < self.deaf_until or self._broker.is_down:
            return
        process.reached_at = self._clock.at
        if event["type"] == "worker-resources":
            process.account_heard_at = self._clock.at
        changes = self.control.activity.apply(event, self._clock.wall())
        if any(change.kind is ChangeKind.NEW for change in changes):
            self._ask_for_a_pass()

    def be_deaf(self, seconds: float) -> None:
        """It has lost its connection, and knows."""
        self.deaf_until = self._clock.at + seconds
        if self.control is not None:
            self.control.activity.doubt()
            self._listener.connected_since = None
        self._clock.after(seconds, self._hear_again)

    def _hear_again(self) -> None:
        if self.control is None or self._clock.at < self.deaf_until:
            return
        self.control.activity.doubt()
        self.doubted_at = self._clock.at
        self._listener.connected_since = self._clock.wall()
        self._listener.connections += 1
        self._workers.speak_up()

    def announce(self, queue: str, cores: int) -> None:
        """A producer says what the tasks of a queue need."""
        need = {"constraints": {"ncpus": cores}}
        self._notes.append({"kind": "announce", "queue": queue, "requirement": need})
        self._ask_for_a_pass()

    def look_for_notes(self) -> None:
        """Once a second."""
        if not self._in_pass and self._take_notes():
            self._ask_for_a_pass()
        self._clock.after(1.0, self.look_for_notes)

    def _take_notes(self) -> bool:
        if self.control is None or not self._notes or self._broker.is_down:
            return False
        with suppress(Killed):
            taken = Notes(self.control.state, self.control.activity).take_read(
                list(self._notes), self._clock.wall()
            )
            self._notes.clear()
            return taken
        return False


def _empty_file(folder: Path) -> Path:
    """A state file with all its tables and nothing in them: to make one takes longer than to copy it."""
    path = folder.parent / "empty.db"
    if not path.exists():
        made = (State(path), StateFile(path), SQLiteNodeHistory(path), StoryBook(path), FiguresBook(path))
        for each in made:
            each.close()
    return path
