"""An emulator without sockets, threads or processes, whose time goes by when the test says so."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from cyclecloud_emulator.cluster.life import Life
from cyclecloud_emulator.cluster.state import State
from cyclecloud_emulator.errors import ApiError
from cyclecloud_emulator.fleet.machine import Machine
from cyclecloud_emulator.http.api import Api, error_answer
from cyclecloud_emulator.http.views import Views
from cyclecloud_emulator.message import Answer, Request
from cyclecloud_emulator.settings import Settings, from_mapping
from cyclecloud_emulator.trouble.mishaps import Mishap, MishapKind

SMALL: dict[str, Any] = {
    "families": {"Dv5": {"cores": 100, "used_by_others": 24}},
    "regional": {"cores": 350, "used_by_others": 100},
    "spot": {"cores": 100},
    "sizes": {
        "D4": {"vcpus": 4, "pcpus": 2, "memory_gib": 16, "family": "Dv5", "price": 0.4, "spot_price": 0.1},
        "D8": {"vcpus": 8, "pcpus": 4, "memory_gib": 32, "family": "Dv5", "price": 0.8},
    },
    "clusters": {
        "c": {
            "max_count": 1000,
            "max_core_count": 1000,
            "nodearrays": {
                "worker": {"sizes": ["D4", "D8"], "max_count": 16, "max_core_count": 64},
                "spot": {"sizes": ["D4"], "spot": True, "max_count": 8, "max_core_count": 32},
            },
        }
    },
    "nodes": {"boot_seconds": 10, "acquire_share": 0.2, "terminate_seconds": 2, "failed_seconds": 3},
}


class RecordingFleet:
    """Remembers what was started and stopped; a node is busy for as long as the test says."""

    def __init__(self) -> None:
        self.started: list[Machine] = []
        self.stopped: list[str] = []
        self.lingering: set[str] = set()

    def start(self, machine: Machine) -> None:
        self.started.append(machine)

    def stop(self, node_id: str, grace: float) -> None:
        self.stopped.append(node_id)

    def busy(self, node_id: str) -> bool:
        return node_id in self.lingering

    def kill_worker(self, node_id: str) -> bool:
        return False

    def close(self) -> None:
        self.lingering.clear()


class World:
    """The API and its clock."""

    def __init__(self, settings: Settings) -> None:
        self.now = 1_000_000.0
        self.fleet = RecordingFleet()
        self.state = State(settings=settings)
        self.life = Life(self.state, self.fleet)
        self.views = Views(self.state)
        self._api = Api(self.state, self.life, self.views)

    def wait(self, seconds: float) -> None:
        """Let time go by."""
        self.now += seconds
        self.life.advance(self.now)

    def ask(self, method: str, path: str, body: object = None, **more: str) -> Answer:
        """One request, with its answer as it goes out."""
        path, _, query = path.partition("?")
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        request = Request(method=method, path=path, query=query, body=data, base_url="http://cloud", **more)
        try:
            return self._api.answer(request, self.now)
        except ApiError as error:
            return error_answer(error, self.state.settings.quirks)

    def get(self, path: str) -> Any:
        """A GET that has to succeed."""
        answer = self.ask("GET", path)
        assert answer.status == 200, answer
        return json.loads(answer.body)

    def create(
        self, count: int, *, nodearray: str = "worker", size: str | None = "D4", **more: object
    ) -> Any:
        """A create of one set that has to be accepted; the set's result."""
        item: dict[str, object] = {"nodearray": nodearray, "count": count, **more}
        if size is not None:
            item["definition"] = {"machineType": size}
        answer = self.ask("POST", "/clusters/c/nodes/create", {"sets": [item]})
        assert answer.status == 202, answer
        return json.loads(answer.body)["sets"][0]

    def manage(self, verb: str, **selectors: object) -> Any:
        """A management request that has to be accepted; its node results."""
        answer = self.ask("POST", f"/clusters/c/nodes/{verb}", selectors)
        assert answer.status == 202, answer
        return json.loads(answer.body)["nodes"]

    def nodes(self) -> dict[str, Any]:
        """Node records by name."""
        return {node["Name"]: node for node in self.get("/clusters/c/nodes")["nodes"]}

    def bucket(self, size: str = "D4", nodearray: str = "worker") -> Any:
        """A bucket of the status."""
        for array in self.get("/clusters/c/status?nodes=true")["nodearrays"]:
            for bucket in array["buckets"]:
                if (array["name"], bucket["definition"]["machineType"]) == (nodearray, size):
                    return bucket
        raise AssertionError(f"no bucket {size} in {nodearray}")

    def mishap(self, kind: str, **more: Any) -> None:
        """Let something go wrong with nodes that start."""
        self.state.mishaps.add(Mishap(kind=MishapKind(kind), **more))


def merge(target: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping with another laid over it, level by level."""
    merged = dict(target)
    for name, value in change.items():
        old = merged.get(name)
        merged[name] = merge(old, value) if isinstance(value, Mapping) and isinstance(old, Mapping) else value
    return merged


@pytest.fixture
def small() -> dict[str, Any]:
    """Settings of a small cloud, as a mapping."""
    return copy.deepcopy(SMALL)


@pytest.fixture
def make_world() -> Callable[..., World]:
    """A world with settings laid over the small ones."""

    def make(**changes: Any) -> World:
        return World(from_mapping(merge(SMALL, changes)))

    return make


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """A small cloud."""
    return make_world()
