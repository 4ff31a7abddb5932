"""The budget of the solver is counted in steps: what else the machine does decides nothing."""

from __future__ import annotations

import time

import pytest

from scalelib.packing import Item, Offer, has_solver, pack

pytestmark = pytest.mark.skipif(not has_solver(), reason="no highspy: install the extra 'solver'")


def test_a_slow_machine_gives_the_same_packing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every clock says that an hour has passed since it was asked last; the budget is too small to finish."""
    items = [Item(key=f"i{n}", count=50, needs=(n + 3, 11 - n)) for n in range(8)]
    offers = [Offer(key=f"o{n}", capacity=(16 + n, 20 - n), price=1 + n / 10) for n in range(3)]
    idle = pack(items, offers, budget=0.2)
    now = [0.0]

    def slow() -> float:
        now[0] += 3600.0
        return now[0]

    for clock in ("time", "monotonic", "perf_counter", "process_time", "thread_time"):
        monkeypatch.setattr(time, clock, slow)
    busy = pack(items, offers, budget=0.2)
    monkeypatch.undo()
    assert idle.decided_by == "solver"
    assert busy == idle
