"""The calculator remembers for whom it bought: what is on its way is not bought once more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from scalelib import Job, MemoryNodeHistory, NodeState, SQLiteNodeHistory, demandcalculator
from scalelib.provider import Cloud

MIX = (
    Job("j0", {"ncpus": 6}, 2, node_count=3),
    Job("j1", {"ncpus": 1}, node_count=2),
    Job("j2", {"ncpus": 1, "memgb": 1}, 2),
    Job("j3", {"ncpus": 4}, 6),
    Job("j4", {"ncpus": 6}),
    Job("j5", {"ncpus": 1, "memgb": 6}, 2),
    Job("j6", {"ncpus": 4}, 2, node_count=2),
)
"""Packed anew onto the machines that it buys, without knowing for whom they are, it does not fit on them."""


@pytest.fixture(params=["memory", "file"])
def history(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Any]:
    """The same history, for each calculator."""
    if request.param == "memory":
        kept = MemoryNodeHistory()
        return lambda: kept
    return lambda: SQLiteNodeHistory(tmp_path / "history.db")


@pytest.fixture
def calculator(
    world: Any, make_provider: Callable[..., Any], history: Callable[[], Any]
) -> Callable[..., Any]:
    """One calculator after the other, over a cloud in which what is bought boots."""
    provider = make_provider(replace(world, most_nodes=50))

    def make(later: int = 0, *jobs: Job, read_only: bool = False) -> Any:
        config = {"solver": False, "nodearrays": {"default": {"reserved": False}}, "read_only": read_only}
        dcalc = demandcalculator.new_demand_calculator(
            config, node_history=history(), provider=provider, now=world.now + timedelta(seconds=later)
        )
        dcalc.add_jobs(jobs)
        return dcalc

    make.provider = provider  # type: ignore[attr-defined]
    return make


def test_a_second_finish_buys_nothing_and_neither_does_the_next_calculator(calculator: Any) -> None:
    dcalc = calculator(0, *MIX)
    bought = dcalc.finish().new_count
    assert bought > 0
    dcalc.bootup()
    assert len(dcalc.provider.nodes) == bought
    assert dcalc.finish().new_count == 0
    assert dcalc.problem.meant.keys() == {node.id for node in dcalc.provider.nodes}
    for seconds in (60, 120):
        again = calculator(seconds, *MIX)
        assert again.finish().new_count == 0
        assert again.bootup() == []
    # Up, or one of them only: the same.
    for number in (0, slice(None)):
        nodes = calculator.provider.nodes
        for node in [nodes[number]] if isinstance(number, int) else list(nodes):
            nodes[nodes.index(node)] = replace(node, state=NodeState.READY, hostname=f"ip-{node.id}")
        assert calculator(180, *MIX).finish().new_count == 0


def test_more_work_buys_only_what_is_missing(calculator: Any) -> None:
    dcalc = calculator(0, Job("a", {"ncpus": 8}))
    dcalc.finish()
    dcalc.bootup()
    dcalc.add_job(Job("b", {"ncpus": 8}))
    assert [dict(node.jobs) for node in dcalc.finish().new_nodes] == [{"b": 1}]
    dcalc.bootup()
    assert len(calculator.provider.nodes) == 2, "the second launch is not taken for the first"
    assert dcalc.finish().new_count == 0


def test_what_was_launched_before_a_crash_is_known_to_the_next(calculator: Any) -> None:
    """The purpose is noted first; the process ends before it hears of its machines."""
    dcalc = calculator(0, *MIX)
    dcalc.finish()
    launch = calculator.provider.launch

    def crash(request: Any) -> Any:
        launch(request)
        raise KeyboardInterrupt

    calculator.provider.launch = crash
    with pytest.raises(KeyboardInterrupt):
        dcalc.bootup()
    calculator.provider.launch = launch
    again = calculator(60, *MIX)
    assert again.problem.meant


def test_read_only_remembers_no_machine_that_was_not_launched(calculator: Any) -> None:
    dcalc = calculator(0, Job("a", {"ncpus": 1}), read_only=True)
    dcalc.finish()
    dcalc.bootup()
    assert calculator.provider.nodes == []
    calculator.provider.nodes.append(calculator.provider.world.node(1))
    assert calculator(60).problem.meant == {}


def test_one_look_serves_until_something_was_bought(world: Any, make_provider: Callable[..., Any]) -> None:
    provider, looks = make_provider(world), 0
    look = provider.cloud

    def counted() -> Cloud:
        nonlocal looks
        looks += 1
        return look()  # type: ignore[no-any-return]

    provider.cloud = counted
    dcalc = demandcalculator.new_demand_calculator({}, provider=provider, now=world.now)
    for i in range(3):
        dcalc.add_job(Job(f"a{i}", {"ncpus": 1}))
        dcalc.finish()
    assert looks == 1
    dcalc.bootup()
    dcalc.find_unmatched_for(0)
    assert looks == 1
    dcalc.finish()
    assert looks == 2
