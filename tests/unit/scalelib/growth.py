"""How much is done for a problem of some size, the same on any machine: calls, and lines that are run."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

from scalelib.planner import Problem, calculate


def calls(problem: Problem) -> Counter[str]:
    """How often each function of the planner is called to plan it, by its name."""
    found: Counter[str] = Counter()

    def count(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            found[frame.f_code.co_qualname] += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        calculate(problem)
    finally:
        sys.setprofile(before)
    return found


def lines(work: Callable[[], object], where: str = "scalelib") -> int:
    """Lines that are run in files of this name, a line of a loop each time."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        if event == "call":
            return trace if where in frame.f_code.co_filename else None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def exponent(few: int, many: int) -> float:
    """How a count grew while the size doubled: 1 is linear, 2 quadratic."""
    return math.log2(many / few)
