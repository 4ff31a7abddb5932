"""The one place that speaks to HiGHS (`highspy`): a silent solver, and a knapsack too stubborn for us."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Sequence
from typing import Any

import highspy

from scalelib.packing.knapsack import Best, Needs, Wanted
from scalelib.packing.meter import CHECK, CHECKED_ENTRY, Meter

INFINITY = float(highspy.kHighsInf)


def new_solver(**options: object) -> Any:
    """A HiGHS object that prints nothing, uses one thread and always draws the same numbers."""
    _take_the_banner()
    solver = highspy.Highs()
    for option, value in {"output_flag": False, "threads": 1, "random_seed": 1, **options}.items():
        solver.setOptionValue(option, value)
    return solver


@functools.cache
def _take_the_banner() -> None:
    """Since 1.16 the first solver of a process prints a banner to standard output before it can be told not
    to. It goes to standard error: the output of whoever plans may be read as JSON.
    """
    sys.stdout.flush()
    try:
        output = os.dup(1)
    except OSError:  # closed: nothing can be printed there
        return
    try:
        os.dup2(2, 1)
        highspy.Highs()
    finally:
        os.dup2(output, 1)
        os.close(output)


def run_until(solver: Any, meter: Meter, deadline: float) -> None:
    """Look for whole numbers until the meter says that it is enough; HiGHS only knows the time of day."""
    step = CHECK + CHECKED_ENTRY * float(solver.getNumNz())

    def look(event: Any) -> None:
        meter.spend(step)
        if meter() >= deadline:
            event.data_in.user_interrupt = True

    solver.cbMipInterrupt += look
    try:
        solver.run()
    finally:
        solver.cbMipInterrupt -= look


def make_whole(solver: Any, columns: Sequence[int]) -> None:
    """From now on these columns take whole numbers only."""
    kinds = [highspy.HighsVarType.kInteger] * len(columns)
    solver.changeColsIntegrality(len(columns), list(columns), kinds)


def start_from(solver: Any, values: Sequence[float]) -> None:
    """Hand in a solution to improve on."""
    solution = highspy.HighsSolution()
    solution.col_value = list(values)
    solver.setSolution(solution)


def has_solution(solver: Any) -> bool:
    """Whether the last run found numbers that keep every row."""
    status = solver.getInfo().primal_solution_status
    return bool(status == highspy.SolutionStatus.kSolutionStatusFeasible)


def stubborn_contents(
    capacity: Sequence[int],
    items: Sequence[Wanted],
    needs: Sequence[Needs],
    *,
    worth_over: float,
    meter: Meter,
    deadline: float,
) -> Best:
    """As `best_contents`, by HiGHS: slower to start and better at the hardest."""
    solver = new_solver(mip_rel_gap=1e-6)
    wanted = []
    for _ in capacity:
        solver.addRow(-INFINITY, 1.0, 0, [], [])
    for item, worth, units in items:
        for d, amount in needs[item]:
            units = min(units, capacity[d] // amount)
        if units > 0 and worth > 0:
            wanted.append((item, worth))
            shares = [amount / capacity[d] for d, amount in needs[item]]
            solver.addCol(-worth, 0.0, float(units), len(shares), [d for d, _ in needs[item]], shares)
    if not wanted:
        return Best(worth=0.0, pattern=(), at_most=0.0)
    make_whole(solver, range(len(wanted)))
    run_until(solver, meter, deadline)
    at_most = -float(solver.getInfo().mip_dual_bound) * (1 + 1e-9)
    if not has_solution(solver):
        return Best(worth=0.0, pattern=(), at_most=at_most)
    # HiGHS lets a row be over by a hair; amounts are exact here.
    free = list(capacity)
    pattern = []
    total = 0.0
    for (item, worth), value in zip(wanted, solver.getSolution().col_value, strict=True):
        units = round(value)
        for d, amount in needs[item]:
            units = min(units, free[d] // amount)
        if units > 0:
            for d, amount in needs[item]:
                free[d] -= amount * units
            pattern.append((item, units))
            total += worth * units
    if total <= worth_over:
        return Best(worth=0.0, pattern=(), at_most=at_most)
    return Best(worth=total, pattern=tuple(sorted(pattern)), at_most=max(at_most, total))
