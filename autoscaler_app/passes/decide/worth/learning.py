"""Asking for a first few nodes, and learning how long tasks run, before asking for all. Pure.

While the run time of a queue is unknown each of its waiting tasks counts as a slot. Under a steady load of
short tasks that buys nodes for everything that came in while the first one booted, which that one works off
by itself. So what is seen first is asked for, and what comes after it waits for the answer, where that costs
less than a boot: while the first nodes are on their way already, or the first tasks run.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

ENOUGH = timedelta(seconds=5)
"""A task that has run for so long is no short one: then all are asked for."""


def is_worth_waiting(
    *,
    untimed: timedelta,
    running: Sequence[timedelta],
    is_on_its_way: bool,
    boot_time: timedelta,
    longest: timedelta,
) -> bool:
    """Whether the run time will be known soon, at a lower cost than that of nodes bought for nothing.

    `untimed`: for how long something has waited without it; `running`: for how long tasks of the queue have
    run by now; `is_on_its_way`: a node comes up that was bought for it; `boot_time`: zero if unknown;
    `longest`: never for longer than that.
    """
    enough = min(ENOUGH, boot_time) if boot_time else ENOUGH
    if untimed >= (min(2 * boot_time, longest) if boot_time else longest):
        return False
    if running:
        return max(running) < enough
    return is_on_its_way and untimed > enough
