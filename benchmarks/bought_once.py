"""Whether anything is bought twice: random worlds with gangs, groups and ceilings, planned three times."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks import Measurement
from tests.unit.scalelib.carried_out import bought_again
from tests.unit.scalelib.fifty_passes import fifty_passes

WORLDS = 10_000
WITH_SOLVER = 200
OF_FIFTY_PASSES = 100


def measure() -> Iterator[Measurement]:
    """Worlds in which a second or third pass bought something, or fewer jobs did."""
    for name, worlds, solver in (
        ("greedy", WORLDS, False),
        ("a solver that is cut short", WITH_SOLVER, True),
    ):
        began = time.process_time()
        again = sum(bought_again(seed, solver=solver) is not None for seed in range(worlds))
        took = time.process_time() - began
        name = f"nothing is bought twice: {name}"
        yield Measurement(name=name, metric=f"of {worlds} worlds", value=again, unit="worlds", target=0)
        yield Measurement(name=name, metric="processor time in all", value=took, unit="s", target=None)
    for name, refilled in (("shrinks", False), ("is refilled", True)):
        runs = [r for seed in range(OF_FIFTY_PASSES) if (r := fifty_passes(seed, refilled=refilled))]
        yield Measurement(
            name=f"fifty passes over demand that {name}: launched later, of what the first pass launched",
            metric=f"share, {len(runs)} worlds",
            value=sum(run.later for run in runs) / sum(run.first for run in runs),
            unit="",
            target=0.005,
        )
