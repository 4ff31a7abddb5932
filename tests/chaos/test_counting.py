"""What `make chaos` counts goes red: lost, run twice, ended at work, leaked, left behind."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from demo.site import Run
from tests.chaos.__main__ import ZERO, Chaos, not_zero


class Records:
    """What a site would tell of a run in which two tasks were sent, and each ran once."""

    def __init__(self) -> None:
        self.broker_url = "redis://127.0.0.1/0"
        self.records = [_run("t1", 1.0, 2.0), _run("t2", 1.0, 3.0)]
        self.there: list[str] = []
        self.processes: list[int] = []

    def runs(self) -> list[Run]:
        return self.records

    def finished(self) -> dict[str, Run]:
        return {run.id: run for run in self.records if run.end is not None}

    def ledger(self) -> dict[str, int]:
        return {"nodes_created": 1, "nodes_removed": 1}

    def reports(self, last: int) -> list[Any]:
        return []

    def nodes(self) -> list[str]:
        return self.there

    def left_behind(self) -> list[int]:
        return self.processes


def _run(task: str, start: float, end: float | None, host: str = "ip-1") -> Run:
    return Run(id=task, task="work", host=host, start=start, end=end)


def _chaos(records: Records, *struck: tuple[float, str, str]) -> Chaos:
    place: Any = SimpleNamespace(site=records)
    chaos = Chaos(place, 1)
    chaos._sent, chaos._struck, chaos._random = {"t1": 0.0, "t2": 0.0}, list(struck), Random(1)
    return chaos


def _table(records: Records, *struck: tuple[float, str, str]) -> dict[str, float]:
    return _chaos(records, *struck).table()


def lose(records: Records) -> None:
    del records.records[1]


def run_again(records: Records) -> None:
    records.records.append(_run("t2", 5.0, 6.0))


def end_at_work(records: Records) -> None:
    records.records[1:] = [_run("t2", 1.0, None), _run("t2", 5.0, 6.0)]


def leak(records: Records) -> None:
    records.there.append("worker-1")


def leave_a_process(records: Records) -> None:
    records.processes.append(4711)


def test_where_all_went_well_nothing_is_wrong() -> None:
    assert not_zero(_table(Records())) == []


@pytest.mark.parametrize(
    ("plant", "rows"),
    [
        (lose, ["tasks lost"]),
        (run_again, ["run twice, unexplained"]),
        (end_at_work, ["run twice, unexplained", "busy nodes deleted"]),
        (leak, ["nodes leaked"]),
        (leave_a_process, ["processes left"]),
    ],
)
def test_what_is_planted_is_counted(plant: Callable[[Records], None], rows: list[str]) -> None:
    records = Records()
    plant(records)
    assert not_zero(_table(records)) == rows


def test_what_a_fault_did_is_no_fault_of_ours() -> None:
    """And only what was hit, where and when it was."""
    records = Records()
    end_at_work(records)
    assert not_zero(_table(records, (2.0, "kill_a_worker", "ip-1"))) == []
    for struck in ((0.5, "kill_a_worker", "ip-1"), (2.0, "kill_a_worker", "ip-2"), (2.0, "freeze", "ip-1")):
        assert "busy nodes deleted" in not_zero(_table(records, struck))


def test_every_row_that_is_to_be_zero_is_counted() -> None:
    assert set(ZERO) <= _table(Records()).keys()


def test_what_is_odd_is_told_with_all_that_happened_around_it() -> None:
    records = Records()
    end_at_work(records)
    chaos = _chaos(records, (2.0, "kill_a_worker", "ip-2"), (90.0, "kill_a_worker", "ip-3"))
    chaos.table()
    assert list(chaos.stories()) == [
        "task t2, in seconds since it was sent:",
        "     0.0  sent",
        "     1.0  starts on ip-1",
        "     2.0  fault: kill_a_worker ip-2",
        "     5.0  starts on ip-1",
        "     6.0  ends on ip-1",
    ]
