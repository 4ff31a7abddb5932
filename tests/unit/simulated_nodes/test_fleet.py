"""The fleet of simulated nodes, when the broker goes away under it."""

from __future__ import annotations

import time
from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest

from cyclecloud_emulator.fleet.machine import Machine
from simulated_nodes import fleet as simulated
from simulated_nodes.fleet import SimulatedFleet
from simulated_nodes.wire import Delivery

MACHINE = Machine(
    node_id="id-1", name="worker-1", hostname="ip-7F000002", private_ip="127.0.0.2", cluster="c",
    nodearray="worker", vm_size="D4", region="westeurope", zone="1", spot=False, placement_group=None,
    vcpus=4, pcpus=2, gpus=1, memory_gib=16, app="some_app",
)  # fmt: skip


class LosingWire:
    """A broker with one long task, which cannot be given back: the connection breaks at that very moment."""

    errors = (ConnectionError,)

    def __init__(self) -> None:
        self.taken = False
        self.connections = 0
        self.waiting = deque(
            [
                Delivery(
                    id="t", name="some.task", args=(600,), kwargs={}, requirement=None, eta=None,
                    ignore_result=True, message=SimpleNamespace(),
                )
            ]
        )  # fmt: skip

    def connect(self, on_command: Any) -> None:
        self.connections += 1

    def get(self, name: str) -> Delivery | None:
        delivery = self.waiting.popleft() if self.waiting else None
        self.taken = self.taken or delivery is not None
        return delivery

    def lose(self, message: Any) -> None:
        raise ConnectionError("lost")

    def send(self, events: Any) -> None: ...
    def drain(self, seconds: float) -> None:
        time.sleep(0.001)

    def disconnect(self) -> None: ...
    def close(self) -> None: ...


def test_a_machine_that_vanishes_as_the_broker_does_is_gone(
    wait_until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its worker would take tasks for ever, on a node that has no record any more."""
    monkeypatch.setattr(simulated, "RECONNECT_SECONDS", 0.0)
    wire = LosingWire()
    fleet = SimulatedFleet(lambda: wire, on_exit=lambda *_: None)  # type: ignore[arg-type,return-value]
    try:
        fleet.start(MACHINE)
        wait_until(lambda: wire.taken)
        fleet.stop(MACHINE.node_id, 0)
        wait_until(lambda: wire.connections > 1)
        assert not fleet.busy(MACHINE.node_id)
    finally:
        fleet.close()
