"""Some histories; and for each check the product broken by a line, so that the check goes red."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from autoscaler_app.passes.decide.decision import decide
from autoscaler_app.passes.snapshot import load
from tests.simulator.history import check, shortest, told
from tests.simulator.mutants import MUTANTS, Mutant
from tests.simulator.script import Batch, Fault, Kind, draw
from tests.simulator.world import run

COUNT, TOGETHER = 500, 10
"""Histories, and how many of them are one test."""


@pytest.mark.parametrize("first", range(0, COUNT, TOGETHER))
def test_nothing_that_must_never_be_is_in_any_history(first: int, tmp_path: Path) -> None:
    for seed in range(first, first + TOGETHER):
        check(seed, tmp_path)


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.check for mutant in MUTANTS])
def test_each_check_goes_red_when_the_line_that_it_is_for_is_broken(mutant: Mutant, tmp_path: Path) -> None:
    whole = run(mutant.script, tmp_path)
    assert whole.violation is None, whole.violation
    with mutant.broken():
        broken = run(mutant.script, tmp_path)
    assert broken.violation is not None, mutant.line
    assert broken.violation.check == mutant.check, "\n".join(broken.lines)


def test_what_went_wrong_is_told_shortly_with_a_snapshot_that_can_be_replayed(tmp_path: Path) -> None:
    mutant = next(each for each in MUTANTS if each.check == "storm")
    needless = (Batch(at=30.0, count=3, cores=1, seconds=5), Fault(kind=Kind.DELAY, at=20.0, seconds=20.0))
    script = replace(mutant.script, batches=(*mutant.script.batches, needless[0]), faults=(needless[1],))
    with mutant.broken():
        short = shortest(run(script, tmp_path), tmp_path)
    assert (len(short.script.batches), short.script.faults) == (1, ())
    text = told(short, tmp_path)
    assert text.startswith("storm: 20 passes within")
    assert len(text.splitlines()) < 60
    (path,) = tmp_path.glob("snapshot-*.json")
    decide(load(path))


def test_a_seed_is_the_same_history_in_every_process() -> None:
    """Also where Python hashes otherwise, so that sets come in another order."""
    program = (
        "from tests.simulator.script import draw; from tests.simulator.world import run; "
        "print('\\n'.join(run(draw(7)).lines))"
    )
    here = "\n".join(run(draw(7)).lines)
    there = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": "12345"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.strip() == here.strip()
