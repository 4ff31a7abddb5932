"""A week of a large cluster under the planner and the decisions of a pass, in the light world of policies.

1,000,000 tasks; each morning so many at once that 10,000 nodes of four cores run, which is the limit. A look
every five minutes, and none for a node that comes up. `--count` is of tasks; nodes are a hundredth of that.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks import Measurement
from benchmarks._policies.made import large
from benchmarks._policies.ours import Ours
from benchmarks._policies.world import SIZES, Site, World

TASKS = 1_000_000


def measure(count: int = TASKS) -> Iterator[Measurement]:
    """Processor time of the whole week, and what came of it."""
    nodes = count // 100
    began = time.process_time()
    world = World(large(count, nodes), Site(cores=4 * nodes, sizes=SIZES[:1], interval=300.0))
    world.run(Ours({}, looks_when_up=0.0))
    took = time.process_time() - began
    name = f"a week, {count:,} tasks, at most {nodes:,} nodes"
    yield Measurement(name=name, metric="processor time", value=took, unit="s")
    yield Measurement(name=name, metric="tasks done", value=world.done, unit="")
    yield Measurement(name=name, metric="most nodes at once", value=world.peak, unit="")
    yield Measurement(name=name, metric="tasks hit", value=world.hits, unit="", target=0)
    yield Measurement(name=name, metric="nodes that never worked", value=world.wasted, unit="")
    waits = sorted(world.waits)
    yield Measurement(name=name, metric="p99 wait", value=waits[int(len(waits) * 0.99)], unit="s")
