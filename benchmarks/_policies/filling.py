"""What two of the policies share: filling the room there is with what waits, kind by kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from benchmarks._policies.world import Amounts, World


def left_over(world: World, order: Iterable[str]) -> tuple[dict[str, int], set[int]]:
    """What waits and has no room on machines that are there or boot, and the machines that got something."""
    rooms = {m.number: list(m.free) for m in world.machines.values() if not m.is_closed}
    left, given = dict(world.depth), set()
    for queue in order:
        need = world.needs[queue]
        for number, room in rooms.items():
            if not left[queue]:
                break
            count = min(left[queue], fill(need, room))
            if count:
                left[queue] -= count
                given.add(number)
    return {queue: count for queue, count in left.items() if count}, given


def fill(need: Amounts, room: list[float], most: int | None = None) -> int:
    """How many fit into the room, which is made smaller."""
    count = min(int(there // wants) for wants, there in zip(need, room, strict=True) if wants)
    count = count if most is None else min(count, most)
    for place in range(3):
        room[place] -= need[place] * count
    return count


def filled(
    has: Amounts, left: Mapping[str, int], needs: Mapping[str, Amounts], order: Iterable[str]
) -> tuple[dict[str, int], list[float]]:
    """What of it an empty machine would take, in this order, and what stays free there."""
    room, took = list(has), {}
    for queue in order:
        if left.get(queue) and (count := fill(needs[queue], room, left[queue])):
            took[queue] = count
    return took, room


def largest_first(world: World) -> list[str]:
    """Queues whose tasks need most first."""
    return sorted(world.needs, key=lambda queue: tuple(-each for each in reversed(world.needs[queue])))
