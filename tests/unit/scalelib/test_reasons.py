"""Every reason that is stated is true."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from scalelib.demand import UnservedReason
from scalelib.planner import calculate
from scalelib.policy import Policy
from tests.unit.scalelib.carried_out import world
from tests.unit.scalelib.truth import Truth

pytestmark = pytest.mark.many_worlds


@pytest.mark.parametrize("in_line", [False, True])
@pytest.mark.parametrize("block", range(5))
def test_what_is_said_of_work_without_a_place_is_true(block: int, in_line: bool) -> None:
    """Of each kind of reason and figure: by counting anew what the plan leaves under every ceiling."""
    said: Counter[UnservedReason] = Counter()
    for seed in range(block * 8, block * 8 + 8):
        # Of no reserved machines, which the judge does not know.
        problem = world(random.Random(f"reasons-{seed}"))
        problem = replace(problem, policy=Policy(solver=False, reserved={"default": False}), in_line=in_line)
        demand = calculate(problem)
        if any(verdict.held_for for verdict in demand.nodes):
            continue  # kept for who came first
        truth = Truth(problem, demand)
        for each in demand.unserved:
            said[each.reason] += 1
            assert (wrong := truth.wrong(each)) is None, (seed, wrong, each)
    assert len(said) > 1
