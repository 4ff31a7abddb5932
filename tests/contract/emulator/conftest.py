"""An emulator that answers on a port of its own, and a plain HTTP client for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from cyclecloud_emulator import Emulator, load, replace

PASSWORD = "a password of the tests"


class Client(httpx.Client):
    """Knows the emulator and its user."""

    def __init__(self, emulator: Emulator) -> None:
        super().__init__(base_url=emulator.url, auth=emulator.auth, timeout=10)
        self.emulator = emulator

    def create(
        self, count: int, *, nodearray: str = "worker", size: str = "Standard_F2s_v2", **more: Any
    ) -> Any:
        """Create nodes; the answer."""
        item = {"nodearray": nodearray, "count": count, "definition": {"machineType": size}}
        return self.post("/clusters/celery/nodes/create", json={"sets": [item], **more})

    def nodes(self) -> dict[str, Any]:
        """Node records by name, without the head node."""
        answer = self.get("/clusters/celery/nodes")
        answer.raise_for_status()
        return {node["Name"]: node for node in answer.json()["nodes"] if node["Name"] != "scheduler"}

    def admin(self, method: str, path: str, body: object = None) -> Any:
        """A call of the admin endpoint that has to succeed."""
        answer = self.request(method, f"/emulator/{path}", json=body)
        assert answer.is_success, answer.text
        return answer.json()


@pytest.fixture
def start() -> Iterator[Callable[..., Client]]:
    """Start an emulator with changed settings; its nodes run nothing unless told otherwise."""
    clients: list[Client] = []

    def run(
        *, quirks: dict[str, Any] | None = None, options: dict[str, Any] | None = None, **nodes: Any
    ) -> Client:
        nodes = {"kind": "none", "boot_seconds": 0.05, "terminate_seconds": 0.05, **nodes}
        settings = replace(load(), nodes=nodes, quirks=quirks or {})
        emulator = Emulator.start(settings, password=PASSWORD, **(options or {}))
        clients.append(Client(emulator))
        return clients[-1]

    yield run
    for client in clients:
        client.close()
        client.emulator.stop()


@pytest.fixture
def cloud(start: Callable[..., Client]) -> Client:
    """An emulator with the built-in settings and quick nodes on which nothing runs."""
    return start()
