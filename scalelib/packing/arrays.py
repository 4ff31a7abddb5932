"""Where there are thousands of items, numpy does the arithmetic, if it is installed (the solver brings it).

It computes with the same numbers in the same order: the answers are the same to the last bit.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterable, Sequence
from typing import Any, Final

MANY: Final = 300
"""Items from which on arrays are quicker."""

_EXACT: Final = 1 << 53
"""Whole numbers below this are the same as floats."""


@functools.cache
def numpy() -> Any:
    """The module, or None where it is not installed. Loaded when it is first of use: that takes 0.1 s."""
    try:
        return importlib.import_module("numpy")
    except ImportError:
        return None


def columns(
    needs: Sequence[Sequence[tuple[int, int]]], capacities: Iterable[Sequence[int]], dimensions: int
) -> list[Any] | None:
    """What each item needs, an array for each dimension. None: too few items, no numpy, too large numbers."""
    if len(needs) < MANY or not dimensions or (np := numpy()) is None:
        return None
    lists = [[0] * len(needs) for _ in range(dimensions)]
    for item, each in enumerate(needs):
        for d, amount in each:
            lists[d][item] = amount
    if any(max(each, default=0) >= _EXACT for each in (*lists, *capacities)):
        return None
    return [np.array(column, dtype=np.int64) for column in lists]
