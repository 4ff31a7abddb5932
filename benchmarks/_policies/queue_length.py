"""Queue length per N: the rule of KEDA and of the horizontal autoscaler under it, in our words.

From https://keda.sh/docs/latest/concepts/scaling-deployments/, its page on the RabbitMQ scaler, and
https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/: each queue has replicas of its
own, as many as its length over N, rounded up. Fewer are wanted only when fewer were wanted for the whole
of a window (300 s by default). Which replica goes, the cluster chooses: those that are not ready first,
then the youngest; whoever works there has a grace period (30 s by default), and is killed then.

A replica is a machine here, of the size that is the cheapest for each task of its queue.
"""

from __future__ import annotations

import math
from collections import deque

from benchmarks._policies.world import Machine, Policy, Size, World, fits, slots


class QueueLength(Policy):
    """One such rule for each queue."""

    def __init__(self, *, per_slot: float, window: float, grace: float, counts_taken: bool = True) -> None:
        """N is `per_slot` tasks for each that a machine runs at once. `counts_taken`: what is taken and not
        acknowledged counts as well (RabbitMQ); False: only what is ready (a list of Redis).
        """
        self._per_slot, self._window, self._grace = per_slot, window, grace
        self._counts_taken = counts_taken
        self._wanted: dict[str, deque[tuple[float, int]]] = {}
        self._sizes: dict[str, tuple[Size, int]] = {}

    def look(self, world: World) -> float:
        """Each queue by itself."""
        of: dict[str, list[Machine]] = {queue: [] for queue in world.needs}
        for machine in world.machines.values():
            if not machine.facts.get("ending"):
                of[str(machine.facts["queue"])].append(machine)
        for queue, machines in of.items():
            size, here = self._size(world, queue)
            taken = sum(len(machine.running) for machine in machines) if self._counts_taken else 0
            length = world.depth[queue] + taken
            wanted = self._steady(world.now, queue, math.ceil(length / (self._per_slot * here)))
            if wanted > len(machines):
                before = set(world.machines)
                world.launch(size, wanted - len(machines))
                for number in world.machines.keys() - before:
                    world.machines[number].facts["queue"] = queue
                    world.machines[number].takes = frozenset([queue])
            machines.sort(key=lambda machine: (machine.is_up, -machine.number))
            for machine in machines[: max(0, len(machines) - wanted)]:
                world.end(machine, self._grace)
        return world.site.interval

    def _steady(self, now: float, queue: str, wanted: int) -> int:
        """The most that was wanted within the window."""
        seen = self._wanted.setdefault(queue, deque())
        while seen and seen[0][0] <= now - self._window:
            seen.popleft()
        while seen and seen[-1][1] <= wanted:
            seen.pop()
        seen.append((now, wanted))
        return seen[0][1]

    def _size(self, world: World, queue: str) -> tuple[Size, int]:
        if queue not in self._sizes:
            need = world.needs[queue]
            fit = [size for size in world.site.sizes if fits(need, size.has)]
            best = min(fit, key=lambda size: (size.price / slots(need, size.has), size.price))
            self._sizes[queue] = best, slots(need, best.has)
        return self._sizes[queue]
