"""A whole pass, from the look to the report, over thousands of nodes: cloud, broker and hosts are in memory.

Nine in ten hosts are at work. They are asked, each of them, as by a command for which nobody listens; what
the hosts cost is in it, for they are in the same process. Or they have told of themselves, as in a control
worker, and the pass asks nobody. Which step takes how much, and how the whole grows; what it costs when the
journal packs at most, and to look for cycles, which is done after a pass and not in it.
"""

from __future__ import annotations

import functools
import gc
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autoscaler_app.passes import one_pass, report, stories
from autoscaler_app.passes.act import counting
from benchmarks import Measurement, exponent
from tests.unit.autoscaler_app.passes.test_growth import grow
from tests.unit.autoscaler_app.world import World, a_world

NODES = ((2_000, None), (5_000, 1.5), (10_000, 3.0))
PASSES = 3

STEPS: dict[str, tuple[tuple[Any, str], ...]] = {
    "look": ((one_pass, "observe"),),
    "remember": ((one_pass, "remember"),),
    "decide": ((one_pass, "decide"),),
    "say what was seen": ((one_pass, "saw"), (one_pass, "decided")),
    "write the journal": ((one_pass, "_written"),),
    "stories and figures": ((stories, "tell"), (stories, "count"), (counting, "count")),
}
"""Functions in which the time of each step is spent; none of them calls another."""


def measure() -> Iterator[Measurement]:
    """Processor time of the best of a few passes."""
    for how in ("every host asked", "every host listened to"):
        points = []
        for nodes, target in NODES:
            name = f"a whole pass over {nodes:,} nodes, {how}"
            seconds, steps, after = _passes(nodes, listens=how.endswith("to"))
            points.append((nodes, seconds))
            yield Measurement(name=name, metric="processor time", value=seconds, unit="s", target=target)
        for step, took in (*steps.items(), ("all else", seconds - steps.total())):
            yield Measurement(name=f"{name}: {step}", metric="share", value=100 * took / seconds, unit="%")
        yield Measurement(name=f"a pass, {how}", metric="exponent in nodes", value=exponent(points), unit="")
    for what, took in after.items():
        name = f"over {nodes:,} nodes: {what}"
        yield Measurement(name=name, metric="processor time", value=took, unit="s")


def _passes(nodes: int, *, listens: bool) -> tuple[float, Counter[str], dict[str, float]]:
    """The best pass, its steps, and what comes after some of them."""
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patch,
        a_world(Path(folder), patch) as world,
    ):
        world.queues.waiting = {"celery": 100}
        grow(world, nodes)
        world.make_pass()  # they are new, and are told what to do
        world.make_pass()
        if listens:
            world.listen()
        steps = _timed(patch)
        best, shares = float("inf"), Counter[str]()
        for _ in range(PASSES):
            world.go_on(20)
            if listens:
                _tell(world)
            steps.clear()
            gc.collect()
            began = time.process_time()
            made = world.make_pass()
            took = time.process_time() - began
            if took < best:
                best, shares = took, Counter(steps)
        collecting = _computed(gc.collect)
        text = report.encode(made)
        packing = max(
            _computed(lambda: world.control.state.journal.write(world.now, text)) for _ in range(70)
        )
        return best, shares, {"a search for cycles": collecting, "the journal packs, at most": packing}


def _computed(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _timed(patch: pytest.MonkeyPatch) -> Counter[str]:
    """Seconds by step, added up from now on."""
    seconds = Counter[str]()

    def timed(work: Any, step: str) -> Any:
        @functools.wraps(work)
        def run(*args: Any, **more: Any) -> Any:
            began = time.process_time()
            try:
                return work(*args, **more)
            finally:
                seconds[step] += time.process_time() - began

        return run

    for step, places in STEPS.items():
        for module, name in places:
            patch.setattr(module, name, timed(getattr(module, name), step))
    return seconds


def _tell(world: World) -> None:
    """Every host tells of itself."""
    for host in world.hosts.of.values():
        world.hosts.seq += 1
        said = {"type": "worker-resources", "hostname": host.nodename, "timestamp": world.now.timestamp()}
        world.control.activity.apply({**host.account(world.hosts.seq), **said}, world.now)
