"""How many more places to work a backlog is worth. Pure."""

from __future__ import annotations

from datetime import timedelta

ZERO = timedelta()


def slots_wanted(
    waiting: int,
    runtime: timedelta | None,
    target_drain_time: timedelta,
    boot_time: timedelta = ZERO,
    enabled: bool = True,
    serving: int = 0,
) -> int:
    """Slots to add so that a backlog is empty within the target, counted from when they can begin to work.

    A slot does floor(target / run time) tasks by then, and a task longer than the target gets one of its own.
    `serving` slots work on this queue now and go on with it: they take their share, and what they will have
    done before a new slot could have booted needs no new slot at all. An unknown run time, or `enabled`
    false, is one slot per waiting task.
    """
    if waiting <= 0:
        return 0
    if not enabled or runtime is None or runtime <= ZERO or target_drain_time <= ZERO:
        return waiting
    done_while_booting = serving * (boot_time // runtime)
    left = waiting - done_while_booting
    if left <= 0:
        return 0
    tasks_a_slot = max(1, target_drain_time // runtime)
    return max(0, -(-left // tasks_a_slot) - serving)
