"""How many more places to work a backlog is worth. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from autoscaler_app.passes.snapshot import TimesSeen

ZERO = timedelta()


def slots_wanted(
    waiting: int,
    runtime: timedelta | None,
    target_drain_time: timedelta,
    boot_time: timedelta = ZERO,
    enabled: bool = True,
    serving: Iterable[timedelta] = (),
    held: int = 0,
) -> int:
    """Slots to add so that a backlog is empty within the target, counted from when they can begin to work.

    A slot does floor(target / run time) tasks by then, and a task longer than the target gets one of its own.
    `serving`: for how long each task of this queue has been running where more of it is taken; these slots
    take their share, each what it can have done by the time at which a new slot would have done its own. Of
    what runs, a task that is as long as the mean lasts for the rest of it; one that is longer already, for as
    long again as it is over. `held` tasks come before those that wait. An unknown run time, or `enabled`
    false, is one slot per waiting task.
    """
    if waiting <= 0:
        return 0
    if not enabled or runtime is None or runtime <= ZERO or target_drain_time <= ZERO:
        return waiting
    tasks_a_slot = max(1, target_drain_time // runtime)
    time = boot_time + max(target_drain_time, runtime)
    done = sum((time - min(abs(runtime - so_far), runtime)) // runtime for so_far in serving)
    return min(waiting, max(0, -(-(waiting + held - done) // tasks_a_slot)))


def boot_time(times: Iterable[TimesSeen]) -> timedelta:
    """How long these nodes took from being asked for to being ready, in the middle; zero if none is known."""
    took = sorted(t.ready - t.created for t in times if t.ready is not None and t.ready >= t.created)
    return took[len(took) // 2] if took else timedelta()
