"""A whole pass, from the look to the report, over thousands of nodes: cloud, broker and hosts are in memory.

Every host is asked, and nine in ten are at work. What the hosts cost is in it: they are in the same process.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import Measurement
from tests.unit.autoscaler_app.passes.test_growth import grow
from tests.unit.autoscaler_app.world import a_world

NODES = ((2_000, None), (5_000, 1.5), (10_000, 3.0))
PASSES = 3


def measure() -> Iterator[Measurement]:
    """Processor time of the best of a few passes."""
    for nodes, target in NODES:
        yield Measurement(
            name=f"a whole pass over {nodes:,} nodes",
            metric="processor time",
            value=_seconds(nodes),
            unit="s",
            target=target,
        )


def _seconds(nodes: int) -> float:
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patch,
        a_world(Path(folder), patch) as world,
    ):
        world.queues.waiting = {"celery": 100}
        grow(world, nodes)
        world.make_pass()  # they are new, and are told what to do
        took = []
        for _ in range(PASSES):
            world.go_on(20)
            began = time.process_time()
            world.make_pass()
            took.append(time.process_time() - began)
    return min(took)
