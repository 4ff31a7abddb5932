"""One minute of `make chaos`, in which nothing is lost. Others, and ten, are by hand."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.timeout(600)
def test_a_minute_of_chaos_costs_no_task_and_leaves_nothing() -> None:
    words = ["--seconds", "60", "--seed", "5", "--broker", "valkey"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing was lost, leaked or ended at work" in done.stdout
