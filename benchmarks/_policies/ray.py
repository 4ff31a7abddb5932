"""Ray's demand scheduler, in our words.

From https://docs.ray.io/en/latest/cluster/vms/user-guides/configuring-autoscaling.html and its
configuration reference: what waits is a list of shapes (so much of each resource). They are packed into
what is free on machines that are there or boot; for the rest machines are chosen one after the other: of
the types that would take something, the one of whose resources most are used, then the one that would be
filled best. Types with GPUs are left to what asks for GPUs. At a time no more may be on their way than
`upscaling_speed` times those that are there, and at least five. A machine on which nothing has run for
`idle_timeout_minutes` (5) goes. Prices play no part.
"""

from __future__ import annotations

from benchmarks._policies.filling import filled, largest_first, left_over
from benchmarks._policies.world import Policy, Size, World


class DemandScheduler(Policy):
    """One such scheduler."""

    def __init__(self, *, idle: float, speed: float) -> None:
        self._idle, self._speed = idle, speed

    def look(self, world: World) -> float:
        """Launch for what has no room, and end what is idle."""
        order = largest_first(world)
        left, _ = left_over(world, order)
        up = sum(machine.is_up for machine in world.machines.values())
        most = max(5, int(self._speed * up)) - (len(world.machines) - up)
        while left and most > 0:
            found = self._best(world, left, order)
            if found is None:
                break
            size, took = found
            count = min(most, *(left[queue] // here for queue, here in took.items()))
            count = world.launch(size, max(1, count))
            if not count:
                break
            most -= count
            for queue, here in took.items():
                left[queue] -= here * count
            left = {queue: many for queue, many in left.items() if many > 0}
        for machine in list(world.machines.values()):
            if machine.is_up and not machine.running and world.now - machine.idle_since >= self._idle:
                world.end(machine)
        return world.site.interval

    @staticmethod
    def _best(world: World, left: dict[str, int], order: list[str]) -> tuple[Size, dict[str, int]] | None:
        best = None
        for size in world.site.sizes:
            if size.cores > world.site.cores - world.cores:
                continue
            took, room = filled(size.has, left, world.needs, order)
            if not took or (size.has[2] and not any(world.needs[queue][2] for queue in took)):
                continue
            used = [1 - free / there for free, there in zip(room, size.has, strict=True) if there]
            score = (sum(share > 0 for share in used), min(used), sum(used) / len(used))
            if best is None or score > best[0]:
                best = (score, size, took)
        return None if best is None else best[1:]
