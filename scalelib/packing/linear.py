"""A small dense simplex: for programmes with a handful of rows or columns, without any library."""

from __future__ import annotations

import math
from collections.abc import Sequence

EPSILON = 1e-10


def maximise(
    gains: Sequence[float],
    rows: Sequence[Sequence[float]],
    limits: Sequence[float],
    most: Sequence[float] | None = None,
) -> tuple[list[float], list[float]]:
    """The x of most `gains * x` with `row * x <= limit` and `0 <= x <= most`; and the prices of the rows.

    No coefficient and no limit may be negative, so that x = 0 is a start. A variable at its most is replaced
    by what it lacks of it, so that bounds need no rows. A variable that no row limits is left out. After
    many steps without an end (rounding) the answer of that moment is returned: prices are never negative, so
    always of use for a bound, if not the best one.
    """
    width, height = len(gains), len(rows)
    total = width + height
    most_of = [*(most or [math.inf] * width), *[math.inf] * height]
    table = [[*row, *(1.0 if r == own else 0.0 for r in range(height))] for own, row in enumerate(rows)]
    have = list(limits)
    limited = [any(row[c] > EPSILON for row in rows) for c in range(width)]
    goal = [*(-gain if ok else 0.0 for gain, ok in zip(gains, limited, strict=True)), *[0.0] * height]
    basis = list(range(width, total))
    flipped = [False] * total

    def flip(column: int) -> None:
        """Count what the variable lacks of its most in place of the variable."""
        for r, row in enumerate(table):
            have[r] -= row[column] * most_of[column]
            row[column] = -row[column]
        goal[column] = -goal[column]
        flipped[column] = not flipped[column]

    for _ in range(10 * total):
        lowest = min(goal, default=0.0)
        if lowest >= -EPSILON:
            break
        enter = goal.index(lowest)
        step, leave, at_most = most_of[enter], -1, False
        for r, row in enumerate(table):
            rate = row[enter]
            if rate > EPSILON and have[r] / rate < step:
                step, leave, at_most = have[r] / rate, r, False
            elif rate < -EPSILON and (most_of[basis[r]] - have[r]) / -rate < step:
                step, leave, at_most = (most_of[basis[r]] - have[r]) / -rate, r, True
        if math.isinf(step):
            break
        if leave < 0:
            flip(enter)
            continue
        if at_most:
            # The basic variable leaves at its most: count what it lacks, then it leaves at 0.
            column = basis[leave]
            table[leave] = [-value for value in table[leave]]
            table[leave][column] = 1.0
            have[leave] = most_of[column] - have[leave]
            flipped[column] = not flipped[column]
        pivot = table[leave][enter]
        pivoted = table[leave] = [value / pivot for value in table[leave]]
        have[leave] /= pivot
        for r, row in enumerate(table):
            if r != leave and row[enter]:
                factor = row[enter]
                table[r] = [a - factor * b for a, b in zip(row, pivoted, strict=True)]
                have[r] -= factor * have[leave]
        factor = goal[enter]
        goal = [a - factor * b for a, b in zip(goal, pivoted, strict=True)]
        basis[leave] = enter
    x = [most_of[c] if flipped[c] else 0.0 for c in range(width)]
    for r, column in enumerate(basis):
        if column < width:
            x[column] = max(most_of[column] - have[r] if flipped[column] else have[r], 0.0)
    return x, [max(price, 0.0) for price in goal[width:]]
