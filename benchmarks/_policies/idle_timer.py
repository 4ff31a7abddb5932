"""cyclecloud-scalelib with its idle timer, in our words.

From its README (https://github.com/Azure/cyclecloud-scalelib) and our notes on what it means
(docs/coming-from-scalelib.md): each task is a job of its own. Jobs are put on machines that are there or
boot, in order; for the rest new ones come from the first bucket, in the order of the configuration, that
can hold them and has room left. A machine to which no job was matched for `idle_timeout` (300 s) is
ended; whatever runs is matched.
"""

from __future__ import annotations

from benchmarks._policies.filling import fill, largest_first, left_over
from benchmarks._policies.world import Policy, World, fits


class IdleTimer(Policy):
    """One such autoscaler."""

    def __init__(self, *, idle: float, largest: bool) -> None:
        """`largest`: buckets stand in the configuration with the largest machine first; else the smallest."""
        self._idle, self._largest = idle, largest
        self._matched: dict[int, float] = {}

    def look(self, world: World) -> float:
        """Match, launch for the rest, end what is idle."""
        order = largest_first(world)
        left, matched = left_over(world, order)
        sizes = sorted(world.site.sizes, key=lambda size: (bool(size.has[2]), size.price))
        if self._largest:
            sizes.sort(key=lambda size: (bool(size.has[2]), -size.price))
        new: list[list[float]] = []
        for queue in order:
            need, many = world.needs[queue], left.get(queue, 0)
            for room in new:
                many -= fill(need, room, many)
            for size in sizes:
                while many > 0 and fits(need, size.has) and world.launch(size, 1):
                    new.append(list(size.has))
                    many -= fill(need, new[-1], many)
        times = {}
        for machine in list(world.machines.values()):
            is_matched = machine.running or machine.number in matched or not machine.is_up
            since = world.now if is_matched else self._matched.get(machine.number, world.now)
            # What ran since the last look was matched then.
            times[machine.number] = since = max(since, machine.idle_since)
            if machine.is_up and world.now - since >= self._idle:
                world.end(machine)
        self._matched = times
        return world.site.interval
