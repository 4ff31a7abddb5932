"""What the search for a packing has cost so far: steps that are counted, in seconds of a usual machine.

Neither the time that passes nor that of the processor: both depend on what else the machine does, and a
broker node that is busy would get another plan than one that is idle. What a step costs was measured once,
roughly; that it is the same everywhere is what matters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

BRANCH: Final = 5e-6
"""One branch of a knapsack."""
WEIGHED: Final = 1.5e-5
"""One kind of work that a knapsack is told of."""
SOLVED: Final = 2e-4
"""One linear programme, whatever its size."""
PIVOT: Final = 8e-6
"""One step of the simplex method in it."""
CHECK: Final = 2.5e-3
"""From one look of HiGHS at whether it is to stop to the next, while it looks for whole numbers."""
CHECKED_ENTRY: Final = 4e-7
"""The same for each entry of the programme."""
FILLED: Final = 8e-6
"""One kind of work that the greedy packer looks at for one kind of machine."""


class Meter:
    """A clock that goes on by what is spent; or one that was handed in, which goes by itself."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock
        self._spent = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self._spent if self._clock is None else self._clock()

    def spend(self, seconds: float) -> None:
        """So much was done."""
        self._spent += seconds
