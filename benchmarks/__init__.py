"""What is measured, and the one shape of a measured number.

A module in this folder with `measure() -> Iterator[Measurement]` is found by `python -m benchmarks`.
"""

from __future__ import annotations

from dataclasses import dataclass


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
