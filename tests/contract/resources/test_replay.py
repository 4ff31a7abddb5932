"""The checker of the other tests finds what it is there to find."""

from __future__ import annotations

from typing import Any

import pytest
from resource_nodes import replay

NODE = {"ncpus": 4, "memgb": 16, "ngpus": 1}
Run = tuple[float, float | None, dict[str, Any]]


def _log(*runs: Run) -> list[dict[str, Any]]:
    """What tasks with these starts, ends and needs write down, each in a process of its own."""
    lines = []
    for number, (start, end, need) in enumerate(runs):
        same = {"id": f"t{number}", "pid": number, "retries": 0, "node": "n", "need": need}
        lines.append({**same, "what": "start", "at": start})
        if end is not None:
            lines.append({**same, "what": "end", "at": end})
    return sorted(lines, key=lambda line: line["at"])


def _need(exclusive: bool = False, **constraints: float) -> dict[str, Any]:
    return {"constraints": constraints, "exclusive": exclusive}


@pytest.mark.parametrize(
    ("runs", "wrong"),
    [
        ([(0, 5, _need(ncpus=2)), (1, 4, _need(ncpus=2))], 0),
        ([(0, 5, _need(ncpus=2)), (1, 4, _need(ncpus=2.5))], 1),
        ([(0, 1, _need(ncpus=2)), (2, 4, _need(ncpus=4))], 0),
        ([(0, 5, _need(ncpus=1, memgb=9)), (1, 4, _need(ncpus=1, memmb=9000))], 1),
        ([(0, 5, _need(ncpus=1, ngpus=0.5)), (1, 4, _need(ncpus=1, ngpus=0.5))], 0),
        ([(0, 5, _need(ncpus=1, ngpus=0.5)), (1, 4, _need(ncpus=1, ngpus=1))], 1),
        ([(0, 5, _need(ncpus=1, exclusive=True)), (1, 4, _need(ncpus=1))], 1),
        ([(0, 5, _need(ncpus=1)), (1, 4, _need(ncpus=1, exclusive=True))], 1),
        ([(0, 5, _need(ncpus=5))], 1),
        ([(0, None, _need(ncpus=4)), (1, 4, _need(ncpus=4))], 0),
    ],
)
def test_the_sums_of_what_ran_at_once_are_checked(runs: list[Run], wrong: int) -> None:
    assert len(replay(_log(*runs), {"n": NODE})) == wrong
