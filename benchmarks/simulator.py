"""Histories of the simulator (`tests/simulator`) by the thousand: what must never be is in none of them."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks import Measurement
from benchmarks.__main__ import cores
from tests.simulator.history import check
from tests.simulator.world import Outcome

COUNT, FIRST = 100_000, 1_000_000
TOGETHER = 20
TELLS_EVERY = 10.0
"""Seconds."""


def measure(count: int = COUNT, first: int = FIRST) -> Iterator[Measurement]:
    """Seeds from `first` on, which `make test` does not run. Progress, and what goes wrong, on stderr."""
    began = told = time.monotonic()
    done = passes = tasks = nodes = 0
    wrong: list[str] = []
    seconds = 0.0
    with ProcessPoolExecutor(cores()) as pool:
        starts = range(first, first + count, TOGETHER)
        for outcomes, failures in pool.map(_some, starts, [first + count] * len(starts)):
            done += len(outcomes) + len(failures)
            wrong += failures
            for failure in failures:
                print(failure, file=sys.stderr, flush=True)
            passes += sum(each[0] for each in outcomes)
            tasks += sum(each[1] for each in outcomes)
            nodes += sum(each[2] for each in outcomes)
            seconds += sum(each[3] for each in outcomes)
            if time.monotonic() - told > TELLS_EVERY:
                told = time.monotonic()
                rate = done / (told - began)
                print(
                    f"{done} of {count} histories, {rate:.0f} a second, {len(wrong)} wrong", file=sys.stderr
                )
    name = f"{count} histories of a deterministic world, from seed {first} on"
    yield Measurement(name=name, metric="wrong", value=len(wrong), unit="histories", target=0)
    for metric, value in (("passes", passes), ("tasks", tasks), ("nodes", nodes)):
        yield Measurement(name=name, metric=metric, value=value, unit=metric)
    yield Measurement(name=name, metric="simulated time", value=seconds / 3600, unit="hours")
    yield Measurement(name=name, metric="time", value=time.monotonic() - began, unit="s")


def _some(first: int, end: int) -> tuple[list[tuple[int, int, int, float]], list[str]]:
    """Numbers of those that went well, and the stories of those that did not."""
    outcomes, failures = [], []
    with tempfile.TemporaryDirectory(prefix="simulator-") as folder:
        for seed in range(first, min(first + TOGETHER, end)):
            try:
                made: Outcome = check(seed, Path(folder))
            except AssertionError as failure:
                failures.append(str(failure))
            else:
                outcomes.append((made.passes, made.tasks, made.nodes, made.seconds))
    return outcomes, failures
