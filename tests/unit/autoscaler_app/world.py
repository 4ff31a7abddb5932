"""A whole control side without a process: a cloud, a broker, hosts in memory; clocks that a test moves."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from autoscaler_app.brokers import BrokerError, Depth
from autoscaler_app.brokers.broker import InLine
from autoscaler_app.listening.activity import Activity, process_name
from autoscaler_app.listening.ask import together
from autoscaler_app.memory.figures import FiguresBook
from autoscaler_app.memory.queues import KnownQueues
from autoscaler_app.memory.runtimes import Runtimes
from autoscaler_app.memory.state import State
from autoscaler_app.memory.stories.book import StoryBook
from autoscaler_app.passes.control import Control
from autoscaler_app.passes.decide.decision import decide
from autoscaler_app.passes.lease.keeping import Lease
from autoscaler_app.passes.observe.look import observe
from autoscaler_app.passes.observe.sight import Sight
from autoscaler_app.passes.observe.strays import StrayWatch
from autoscaler_app.passes.one_pass import make_pass
from autoscaler_app.passes.plan import Plan
from autoscaler_app.passes.report import Report
from autoscaler_app.periodic import Periodic
from autoscaler_app.settings import Autoscaler, Settings
from scalelib.clouds import open_provider
from scalelib.history import SQLiteNodeHistory
from tests import machines
from tests.machines import Machines

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@dataclass
class Host:
    """What one worker of a host would tell."""

    name: str
    running: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    coming: dict[str, float] = field(default_factory=dict)
    """Tasks of the queue `celery` that wait there for their time, in seconds since the epoch."""
    went_back: list[dict[str, Any]] = field(default_factory=list)
    keeps_held: bool = True
    """What it holds for room does not go back when it is fenced."""
    queues: list[str] = field(default_factory=list)
    total: dict[str, Any] = field(default_factory=dict)
    """What it says that it has; empty: nothing."""
    fenced: bool = False
    gang: dict[str, Any] | None = None
    is_mute: bool = False
    """It does not answer."""
    is_deaf_to: set[str] = field(default_factory=set)
    """Commands that it does not hear."""
    told: list[str] = field(default_factory=list)
    """Every command that it has got."""
    pid: int = 1
    worker: str = "celery"
    pace: float = 0.0
    """Seconds that it was told to let pass between two accounts."""
    named: bool = False
    """Its connection bears its name."""
    ended: dict[str, list[float]] = field(default_factory=dict)
    """By queue: runs that have ended, and their seconds."""
    ended_tasks: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    @property
    def nodename(self) -> str:
        return f"{self.worker}@{self.name}"

    @property
    def process(self) -> str:
        return process_name(self.nodename, self.pid, float(self.pid))

    def give_back(self) -> int:
        """What has not started goes back to its queue; how many that are."""
        for task, at in self.coming.items():
            said = {"id": task, "queue": "celery", "at": at, "back": len(self.went_back) + 1}
            self.went_back.append(said)
        held = [] if self.keeps_held else self.held
        count = len(held) + len(self.coming)
        self.coming = {}
        self.held = self.held[len(held) :]
        return count

    def account(self, seq: int) -> dict[str, Any]:
        tasks = {
            kind: [{"id": task, "name": "t", "queue": "celery"} for task in ids]
            for kind, ids in (("running", self.running), ("held", self.held))
        }
        return {
            "nodename": self.nodename,
            "pid": self.pid,
            "started": float(self.pid),
            "seq": seq,
            "queues": self.queues,
            "total": self.total,
            "fenced": self.fenced,
            "scheduled": len(self.coming),
            "coming": {
                "tasks": [{"id": i, "queue": "celery", "at": at} for i, at in self.coming.items()],
                "went_back": self.went_back,
            },
            "gang": self.gang,
            "named": self.named,
            "ended": self.ended,
            "ended_tasks": self.ended_tasks,
            "pace": self.pace,
            **tasks,
        }


@dataclass
class Hosts:
    """All hosts, as the workers that can be asked."""

    of: dict[str, Host] = field(default_factory=dict)
    seq: int = 0
    asked: list[list[str]] = field(default_factory=list)
    """Names of each question that was waited for."""
    aside: list[list[str]] = field(default_factory=list)
    back_in: dict[str, int] = field(default_factory=dict)
    """How many messages came back to each queue from hosts that were fenced, for whoever counts them."""

    def ask(
        self, command: str, nodenames: Collection[str] | None, arguments: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        self.asked.append(sorted(nodenames or []))
        names = None if nodenames is None else frozenset(nodenames)
        there = [host for host in self.of.values() if names is None or host.nodename in names]
        found: dict[str, Any] = {}
        for host in there:
            if not host.is_mute and command not in host.is_deaf_to:
                said = self._answer(host, command, arguments or {})
                found[host.nodename] = together(found.get(host.nodename), said)
        return found

    def ask_aside(
        self,
        command: str,
        nodenames: Collection[str],
        arguments: Mapping[str, Any],
        take: Callable[[Mapping[str, Any]], object],
    ) -> None:
        if nodenames:
            self.aside.append(sorted(nodenames))
            waited_for = len(self.asked)
            take(self.ask(command, nodenames, arguments))
            del self.asked[waited_for:]

    def tell(self, command: str, nodenames: Collection[str]) -> None:
        for host in self.of.values():
            if host.nodename in nodenames and command not in host.is_deaf_to:
                host.told.append(command)

    def _answer(self, host: Host, command: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        self.seq += 1
        if command != "resources":
            host.told.append(command)
        if command in ("fence", "unfence"):
            host.fenced = command == "fence"
        if command == "fence":
            self.back_in["celery"] = self.back_in.get("celery", 0) + host.give_back()
        if command == "join":
            host.queues = list(arguments["queues"])
        if command == "pace":
            host.pace = arguments["seconds"]
        return host.account(self.seq)


@dataclass
class Queues:
    """A broker in memory."""

    waiting: dict[str, int] = field(default_factory=dict)
    given_back: list[str] = field(default_factory=list)
    unreadable: set[str] = field(default_factory=set)

    def depths(self, queues: Collection[str]) -> Mapping[str, Depth]:
        return {
            queue: Depth(waiting=self.waiting.get(queue, 0))
            for queue in queues
            if queue not in self.unreadable
        }

    def in_line(self, task_id: str, queues: Collection[str]) -> InLine | None:
        return next((InLine(queue=q, before=3) for q in queues if task_id.startswith(q)), None)

    def dangers(self) -> tuple[str, ...]:
        return ("the broker is odd: see to it",)

    def unacked(self) -> int | None:
        return None

    def unacked_tags(self) -> frozenset[str]:
        return frozenset()

    def task_ids(self, tags: Collection[str]) -> Mapping[str, str]:
        return {}

    def give_back(self, tags: Collection[str], queues: Mapping[str, Collection[str]] | None = None) -> int:
        return 0

    def consumers(self) -> None:
        return None

    def give_back_tasks(
        self, task_ids: Collection[str], queues: Mapping[str, Collection[str]] | None = None
    ) -> int:
        self.given_back += task_ids
        return len(task_ids)


@dataclass
class Shared:
    """The lease of a broker in memory: ours, unless a test says whose it is, or that nobody knows."""

    holder: str = ""
    trouble: BrokerError | None = None
    valid_for: float = 60.0
    """Seconds, of the real clock."""

    def hold(self, owner: str) -> str:
        return self.who()

    def who(self) -> str:
        if self.trouble is not None:
            raise self.trouble
        return self.holder

    def let_go(self, owner: str) -> None:
        pass


@dataclass
class World:
    """Everything that a pass meets, in a test's hand."""

    control: Control
    cloud: Machines
    hosts: Hosts
    queues: Queues
    shared: Shared
    now: datetime = NOON
    monotonic: float = 500.0

    def set_clock(self, seconds: float) -> None:
        """Somebody sets the clock of the machine, and no time passes."""
        self.now += timedelta(seconds=seconds)

    def go_on(self, seconds: float) -> None:
        """Time passes, and nobody says a word."""
        self.now += timedelta(seconds=seconds)
        self.monotonic += seconds

    def make_pass(self) -> Report:
        made = make_pass(self.control)
        assert made.error == "", made.error
        return made

    def sight(self) -> Sight:
        return observe(self.control)

    def plan(self) -> Plan:
        return decide(self.sight().snapshot).plan

    def boot(self) -> list[Host]:
        """Every machine that was asked for is up, and a worker runs on it."""
        for name in self.cloud.boot():
            self.hosts.of.setdefault(name, Host(name))
        return list(self.hosts.of.values())

    def last_word(self, host: Host) -> bool:
        """The worker of a host has shut down cleanly, as its note says; whether a drain waited for it."""
        self.hosts.of = {name: each for name, each in self.hosts.of.items() if each is not host}
        gone = self.control.activity.forget_worker(host.nodename, host.pid, float(host.pid))
        return gone and self.control.state.last_word(host.process)

    def listen(self, since: datetime = NOON) -> None:
        """As in a control worker, which hears everybody and asks whom it has not heard."""
        self.control.listener = SimpleNamespace(  # type: ignore[assignment]
            connected_since=since,
            connections=1,
            lag=None,
            clock_was_set=lambda by, now: None,
            stop=lambda: None,
        )


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Nothing is there yet; `celery` is the one queue. Prices: small 1, large 3."""
    with a_world(tmp_path, monkeypatch) as made:
        yield made


@contextmanager
def a_world(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The same, for whoever is no test."""
    machines.install(monkeypatch)
    config = {"provider": "machines", "prices": {"small": 1.0, "large": 3.0}, "idle_timeout": 300}
    settings = Settings(config=config, autoscaler=Autoscaler(), folder=folder)
    app: Any = SimpleNamespace(conf={})
    state, hosts, queues, shared = State(folder / "state.db"), Hosts(), Queues(), Shared()
    provider = open_provider(config, state_file=folder / "state.db")
    control = Control(
        app=app,
        settings=settings,
        state=state,
        stories=StoryBook(folder / "state.db"),
        figures=FiguresBook(folder / "state.db"),
        history=SQLiteNodeHistory(folder / "state.db"),
        provider=provider,
        broker=queues,
        workers=hosts,
        activity=Activity(),
        queues=KnownQueues(app, settings, state),
        runtimes=Runtimes(),
        periodic=Periodic("", state),
        strays=StrayWatch(0),
        lease=Lease(shared, settings.mark_file),
    )
    assert isinstance(provider, Machines)
    made = World(control, provider, hosts, queues, shared)
    control.now, control.monotonic = lambda: made.now, lambda: made.monotonic
    yield made
    control.close()
