"""The broker's count against the word of the hosts."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from autoscaler_app.listening.activity import HeldTask, HostView, RunningTask
from autoscaler_app.passes.observe.reckoning import unaccounted

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
BUSY = HostView(
    hostname="n1",
    running=(RunningTask(id="a", name="t", queue="q", started=NOW, nodename="w@n1"),),
    held=(HeldTask(id="b", queue="q"),),
    scheduled=2,
    told=NOW,
)
UNKNOWN = HostView(hostname="n2", told=None)


@pytest.mark.parametrize(
    ("unacked", "hosts", "wanted", "why"),
    [
        (4, [BUSY], 0, "running, held and scheduled are accounted for"),
        (6, [BUSY], 2, "two are with nobody"),
        (1, [BUSY], 0, "tasks that are acknowledged early are not counted by the broker"),
        (3, [], 3, "nobody is there"),
        (6, [BUSY, UNKNOWN], None, "one host is unknown"),
        (None, [BUSY], None, "the broker does not tell"),
    ],
)
def test_table(unacked: int | None, hosts: list[HostView], wanted: int | None, why: str) -> None:
    assert unaccounted(unacked, hosts) == wanted, why
