"""A plan that was carried out is kept: nothing is bought twice."""

from __future__ import annotations

import random

import pytest

from scalelib.node import NodeState
from scalelib.packing import has_solver
from scalelib.planner import calculate
from tests.unit.scalelib.carried_out import bought_again, carried_out, world
from tests.unit.scalelib.fifty_passes import fifty_passes

pytestmark = pytest.mark.many_worlds


@pytest.mark.parametrize("block", range(25))
def test_a_second_and_third_pass_buy_nothing_and_fewer_jobs_never_buy(block: int) -> None:
    """500 worlds; ten thousand of them are in `make bench`."""
    found = [bought_again(seed) for seed in range(block * 20, block * 20 + 20)]
    assert [text for text in found if text] == []


@pytest.mark.skipif(not has_solver(), reason="needs the extra `solver`")
def test_the_same_holds_for_a_solver_that_is_cut_short() -> None:
    found = [bought_again(seed, solver=True) for seed in range(12)]
    assert [text for text in found if text] == []


def test_without_a_memory_all_work_is_tried_on_all_that_is_there_before_anything_is_bought() -> None:
    """A snapshot of an older version, or a state file that was lost: nothing is bought still."""
    again = 0
    for seed in range(60):
        first = world(random.Random(seed))
        demand = calculate(first)
        if not demand.unserved:
            again += bool(
                calculate(carried_out(first, demand, [NodeState.READY] * 9999, known=False)).launches
            )
    assert again == 0


def test_fifty_passes_over_demand_that_shrinks_launch_nothing() -> None:
    found = [one for seed in range(12) if (one := fifty_passes(seed, refilled=False)) is not None]
    assert found
    assert sum(one.later for one in found) == 0
