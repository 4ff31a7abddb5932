"""What is measured, and the one shape of a measured number.

A module in this folder with `measure() -> Iterator[Measurement]` is found by `python -m benchmarks`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """One measured number beside what was hoped for."""

    name: str
    """What was done."""
    metric: str
    """What was measured of it: `seconds`, `MB`, `mean ratio`, ..."""
    value: float
    unit: str
    target: float | None = None
    """The promised number; None if nothing was promised."""
    at_most: bool = True
    """True: the target is a ceiling. False: a floor."""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        return self.value <= self.target if self.at_most else self.value >= self.target


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """Of a power law fitted to (size, time): 1 is linear, 0 is independent."""
    xs = [math.log(x) for x, _ in points]
    ys = [math.log(y) for _, y in points]
    x, y = fmean(xs), fmean(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum((a - x) ** 2 for a in xs)
