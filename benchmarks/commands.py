"""What the commands cost that a person gives again and again: processor time of a whole process.

A journal of 200 passes lies in the state file. Celery's own `--help`, which imports nothing of ours, is
measured beside them: less than that is not to be had.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from autoscaler_app.memory.state import State
from autoscaler_app.passes import report
from autoscaler_app.passes.report import Report
from benchmarks import Measurement

ROUNDS = 7
PASSES = 200
CELERY = [sys.executable, "-m", "celery"]
OURS = [*CELERY, "-A", "autoscaler_app", "autoscaler"]
COMMANDS = [
    ("celery --help", [*CELERY, "--help"], None),
    ("autoscaler --help", [*OURS, "--help"], 0.25),
    ("autoscaler status", [*OURS, "status"], 0.35),
    ("autoscaler journal", [*OURS, "journal"], 0.35),
]


def measure() -> Iterator[Measurement]:
    """The median of a few rounds, the commands taking turns."""
    with tempfile.TemporaryDirectory() as folder:
        _fill(Path(folder))
        seconds: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            for name, command, _target in COMMANDS:
                seconds.setdefault(name, []).append(_processor_seconds(command, folder))
    for name, _command, target in COMMANDS:
        yield Measurement(
            name=name,
            metric="processor time, median",
            value=statistics.median(seconds[name]),
            unit="s",
            target=target,
        )


def _fill(folder: Path) -> None:
    """Settings without a password, and a state file."""
    settings = {"url": "https://cloud.example", "username": "u", "cluster_name": "c"}
    (folder / "autoscale.json").write_text(json.dumps(settings))
    state, now = State(folder / "autoscaler.db"), datetime.now(UTC)
    for _ in range(PASSES):
        made = Report(started=now, seconds=0.1, ok=True)
        state.journal.write(now, report.encode(made))
    state.close()


def _processor_seconds(command: list[str], folder: str) -> float:
    """User and system time of the command. Raises CalledProcessError if it fails."""
    here = str(Path(__file__).resolve().parent.parent)
    environment = {k: v for k, v in os.environ.items() if k != "CYCLECLOUD_PASSWORD"} | {"PYTHONPATH": here}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, timeout=60)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
