"""What went wrong, told: the shortest history that shows it, and the snapshot that was decided from last."""

from __future__ import annotations

from pathlib import Path

from autoscaler_app.passes.snapshot import encode
from tests.simulator.script import Script, draw
from tests.simulator.shrinking import shrink
from tests.simulator.world import Outcome, run

LONGEST = 60
"""Lines that are told; of more, the first few and the last."""


def check(seed: int, folder: Path) -> Outcome:
    """The history of a seed. AssertionError, with all of its story, if something was that must never be."""
    outcome = run(draw(seed), folder)
    if outcome.violation is not None:
        raise AssertionError(told(shortest(outcome, folder), folder))
    return outcome


def shortest(outcome: Outcome, folder: Path) -> Outcome:
    """The shortest history found in which the same check fails."""
    assert outcome.violation is not None
    name = outcome.violation.check

    def goes_wrong(script: Script) -> bool:
        found = run(script, folder).violation
        return found is not None and found.check == name

    return run(shrink(outcome.script, goes_wrong), folder)


def told(outcome: Outcome, folder: Path) -> str:
    """For whoever has to find out why."""
    script, lines = outcome.script, outcome.lines
    if len(lines) > LONGEST:
        lines = [*lines[:15], f"         … {len(lines) - LONGEST} lines …", *lines[15 - LONGEST :]]
    parts = [
        f"{outcome.violation}",
        f"seed {script.seed}, shrunk to {len(script.batches)} batches and {len(script.faults)} faults, "
        f"broker as {script.broker}; the script:",
        *(f"    {part!r}" for part in (*script.batches, *script.faults)),
        "what happened (seconds):",
        *lines,
    ]
    if outcome.snapshot is not None:
        path = folder / f"snapshot-{script.seed}.json"
        path.write_bytes(encode(outcome.snapshot))
        parts.append(f"decided from last: celery -A autoscaler_app autoscaler replay {path}")
    return "\n".join(parts)
