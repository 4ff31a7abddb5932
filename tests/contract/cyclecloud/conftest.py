"""An emulator on a port of its own, and a client and a provider of ours that speak to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cyclecloud_api.client import CycleCloudClient
from cyclecloud_api.intents import SQLiteIntents
from cyclecloud_api.lockout import Lockout
from cyclecloud_api.provider import CycleCloudProvider
from cyclecloud_api.store import StateFile
from cyclecloud_api.watch import SQLiteMemory, Watch
from cyclecloud_api.wire import Wire
from cyclecloud_emulator import Emulator, load, replace
from cyclecloud_emulator.cluster.node import Node
from cyclecloud_emulator.trouble.faults import Fault, FaultKind
from cyclecloud_emulator.trouble.lies import LieKind
from cyclecloud_emulator.trouble.mishaps import Mishap, MishapKind
from scalelib.provider import LaunchRequest

PASSWORD = "a password of the tests"


class Clock:
    """A time that the test sets. The emulator and our side may each have one."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 2, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def seconds(self) -> float:
        return self.now.timestamp()

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class World:
    """A cloud with a scripted time, and our side of it, which can be restarted."""

    def __init__(self, emulator: Emulator, clock: Clock, folder: Path) -> None:
        self.emulator, self.clock, self._folder = emulator, clock, folder
        self._open: list[Any] = []
        self.lockout = Lockout(clock=clock.seconds)
        self.client = self.connect()
        self.provider = self.start_over()

    def connect(
        self, *, password: str = PASSWORD, timeout: float = 30.0, cluster: str = ""
    ) -> CycleCloudClient:
        """A client; its pauses between repeats pass at once."""
        wire = Wire(
            self.emulator.url,
            self.emulator.user,
            password,
            timeout=timeout,
            lockout=self.lockout,
            sleep=self.clock.later,
            jitter=lambda: 0.01,
        )
        client = CycleCloudClient("", "", "", cluster or self.emulator.cluster, wire=wire)
        self._open.append(client)
        return client

    def start_over(self) -> CycleCloudProvider:
        """Our side after a restart: a new provider on the same state file."""
        file = StateFile(self._folder / "state.db")
        self._open.append(file)
        self.provider = CycleCloudProvider(
            self.client, intents=SQLiteIntents(file), watch=Watch(store=SQLiteMemory(file)), now=self.clock
        )
        return self.provider

    def fault(self, kind: str, **more: Any) -> None:
        """From now on calls go wrong so."""
        if "lie" in more:
            more["lie"] = LieKind(more["lie"])
        with self.emulator.lock:
            self.emulator.faults.add(Fault(kind=FaultKind(kind), **more))

    def no_more_faults(self) -> None:
        """From now on they do not."""
        with self.emulator.lock:
            self.emulator.faults.clear()

    def mishap(self, kind: str, **more: Any) -> None:
        """From now on nodes meet this."""
        with self.emulator.lock:
            self.emulator.state.mishaps.add(Mishap(kind=MishapKind(kind), **more))

    def no_more_mishaps(self) -> None:
        """From now on they do not."""
        with self.emulator.lock:
            self.emulator.state.mishaps.clear()

    def lose_memory(self, *, nodes: bool) -> None:
        """What a restart of the server without its memory leaves: no operations, and perhaps no nodes."""
        with self.emulator.lock:
            state = self.emulator.state
            state.operations.clear()
            state.requests.clear()
            for node in [n for n in state.nodes.values() if nodes and n.nodearray]:
                self.emulator.life.vanish(node, self.clock.seconds())

    def nodes(self) -> list[Node]:
        """What is really there."""
        return self.emulator.nodes()

    def calls(self, part: str = "") -> list[str]:
        """Method and path of the calls so far whose path contains `part`."""
        return [f"{c.method} {c.path}" for c in self.emulator.calls if part in c.path]

    def close(self) -> None:
        for one in self._open:
            one.close()
        self.emulator.stop()


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Start an emulator with changed settings. Nodes run nothing; a boot takes 100 s of its clock."""
    worlds: list[World] = []

    def make(
        *, quirks: dict[str, Any] | None = None, clusters: dict[str, Any] | None = None, **nodes: Any
    ) -> World:
        usual = {"kind": "none", "boot_seconds": 100.0, "terminate_seconds": 20.0}
        changes: dict[str, Any] = {"nodes": {**usual, **nodes}, "quirks": quirks or {}}
        if clusters is not None:
            changes["clusters"] = clusters
        clock = Clock()
        emulator = Emulator.start(replace(load(), **changes), password=PASSWORD, clock=clock.seconds)
        folder = tmp_path / f"world-{len(worlds)}"
        folder.mkdir()
        worlds.append(World(emulator, clock, folder))
        return worlds[-1]

    yield make
    for world in worlds:
        world.close()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """The built-in cluster."""
    return make_world()


def make_wish(request_id: str = "r", count: int = 3, **changes: Any) -> LaunchRequest:
    facts = {"nodearray": "worker", "vm_size": "Standard_D4s_v5", **changes}
    return LaunchRequest(request_id=request_id, count=count, **facts)


@pytest.fixture(scope="session")
def wish() -> Callable[..., LaunchRequest]:
    """A launch request."""
    return make_wish
