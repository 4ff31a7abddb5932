"""Nodes that are only pretended, thousands in one process, for tests and benchmarks. See docs/emulator.md.

Not part of what is installed: the emulator finds this package by its name where it is started in a clone.
"""

from __future__ import annotations

import os

from cyclecloud_emulator.fleet.machine import WorkerExit
from cyclecloud_emulator.settings import Nodes
from simulated_nodes.fleet import SimulatedFleet

__all__ = ["SimulatedFleet", "open_fleet"]

DEFAULT_BROKER = "redis://127.0.0.1:6379/0"


def open_fleet(nodes: Nodes, *, on_exit: WorkerExit) -> SimulatedFleet:
    """A fleet on the broker that the nodes' environment names, or else this process's."""
    # Celery is slow to import, and nothing else here needs it.
    from simulated_nodes.wire import SimWire

    environment = {**os.environ, **nodes.environment}
    broker = environment.get("CELERY_BROKER_URL", DEFAULT_BROKER)
    is_redis = broker.startswith(("redis://", "rediss://"))
    backend = environment.get("CELERY_RESULT_BACKEND") or (broker if is_redis else None)
    return SimulatedFleet(
        lambda: SimWire(broker, backend),
        on_exit=on_exit,
        control_queue=nodes.control_queue,
        task_seconds=nodes.simulated_task_seconds,
        task_events=nodes.simulated_task_events,
    )
