"""What the commands cost that a person gives again and again: processor time of a whole process.

A journal of 70 passes of 1,000 nodes and 500 kinds lies in the state file. Celery's own `--help`, which
imports nothing of ours, is measured beside them: less than that is not to be had.
"""

from __future__ import annotations

import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from autoscaler_app.memory.state import State
from benchmarks import Measurement
from benchmarks.journal import EVERY, passes

ROUNDS = 7
PASSES = 70
CELERY = [sys.executable, "-m", "celery"]
OURS = [*CELERY, "-A", "autoscaler_app", "autoscaler"]
COMMANDS = [
    ("celery --help", [*CELERY, "--help"], None),
    ("autoscaler --help", [*OURS, "--help"], 0.25),
    ("autoscaler status", [*OURS, "status"], 0.35),
    ("autoscaler journal", [*OURS, "journal"], 0.35),
    ("autoscaler queues", [*OURS, "queues"], 0.5),
    ("autoscaler top --once", [*OURS, "top", "--once"], 0.5),
    ("autoscaler history", [*OURS, "history"], 0.5),
    ("autoscaler cost", [*OURS, "cost"], 0.5),
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
    restless = passes(random.Random(1), now - PASSES * EVERY)
    for _, text in islice(restless, PASSES):
        state.journal.write(now, text)
    state.close()


def _processor_seconds(command: list[str], folder: str) -> float:
    """User and system time of the command. Raises CalledProcessError if it fails."""
    here = str(Path(__file__).resolve().parent.parent)
    environment = {k: v for k, v in os.environ.items() if k != "CYCLECLOUD_PASSWORD"} | {"PYTHONPATH": here}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, timeout=60)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
