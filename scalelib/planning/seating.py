"""Putting slots on machines that are there: first fit, the choosiest first, nothing touched yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scalelib.constraints.alternatives import Sharing
from scalelib.planning.fleet import Amounts, Fleet, space
from scalelib.planning.kinds import Kind

Content = tuple[Kind, int, int]
"""(kind, number of its alternative, slots on each machine)."""


@dataclass(eq=False, kw_only=True, slots=True)
class Seat:
    """Equal machines."""

    group: int
    """Which of the groups given it is a part of."""
    machine: int
    free: Amounts
    count: int
    empty: bool = True
    closed: bool = False
    contents: tuple[Content, ...] = ()
    """What was put there here."""


def seat(fleet: Fleet, seats: Sequence[Seat], work: Mapping[Kind, int]) -> tuple[list[Seat], dict[Kind, int]]:
    """The seats with the work on them, and what found no room. Seats given first are filled first."""
    order = list(seats)
    full: list[Seat] = []
    left = {}
    kinds = sorted((kind for kind, count in work.items() if count > 0), key=lambda kind: _size(fleet, kind))
    for kind, least in zip(kinds, _least_from_here(fleet, kinds), strict=True):
        rest = _seat_kind(fleet, kind, work[kind], order, full, least)
        if rest:
            left[kind] = rest
    return full + order, left


def _size(fleet: Fleet, kind: Kind) -> tuple[object, ...]:
    """Exclusive ones first, as they need whole machines; then those with the least choice; then large ones.

    Without that, work that could be anywhere would sit on the one machine that other work has to have.
    """
    table = fleet.catalogue.table(kind)
    choice = len(table) - table.count(())
    return (-int(kind.sharing), choice, [-amount for amount in fleet.needs(kind, 0)], kind.no)


def _least_from_here(fleet: Fleet, kinds: Sequence[Kind]) -> list[Amounts]:
    """Per kind: the least that it or any later one needs, by position."""
    least: list[Amounts] = []
    so_far: Amounts | None = None
    for kind in reversed(kinds):
        for way in range(len(kind.alternatives)):
            needs = fleet.needs(kind, way)
            so_far = needs if so_far is None else tuple(map(min, needs, so_far))
        least.append(so_far or ())
    return least[::-1]


def _seat_kind(
    fleet: Fleet, kind: Kind, count: int, order: list[Seat], full: list[Seat], least: Amounts
) -> int:
    """Put a kind on the seats in place; slots that found no room come back."""
    table = fleet.catalogue.table(kind)
    bounds = _taken(least)
    # The usual kind, in short: this is asked for each kind on each seat.
    usual = len(kind.alternatives) == 1 and not kind.sharing
    needs = _taken(fleet.needs(kind, 0)) if usual else []
    i = 0
    while i < len(order) and count > 0:
        here = order[i]
        free = here.free
        if here.closed or not _holds(free, bounds):
            full.append(order.pop(i))  # nothing that is still to come fits there
            continue
        if usual and not _holds(free, needs):
            i += 1
            continue
        parts, placed = _fill(fleet, kind, count, here, table[here.machine])
        if placed:
            order[i : i + 1] = parts
            i += len(parts)
            count -= placed
        else:
            i += 1
    return count


def _taken(amounts: Amounts) -> list[tuple[int, int]]:
    return [(d, amount) for d, amount in enumerate(amounts) if amount]


def _holds(free: Amounts, needs: Sequence[tuple[int, int]]) -> bool:
    for d, amount in needs:  # noqa: SIM110 (a generator takes three times as long)
        if free[d] < amount:
            return False
    return True


def _fill(
    fleet: Fleet, kind: Kind, count: int, here: Seat, levels: Sequence[tuple[int, int]]
) -> tuple[list[Seat], int]:
    for way, _ in levels:
        sharing = kind.alternatives[way].sharing
        if sharing and not here.empty:
            continue
        times = space(here.free, fleet.needs(kind, way), sharing is Sharing.NOBODY)
        if times > 0:
            return _split(fleet, kind, way, here, times, count)
    return [], 0


def _split(fleet: Fleet, kind: Kind, way: int, here: Seat, times: int, count: int) -> tuple[list[Seat], int]:
    machines = min(count // times, here.count)
    parts, placed, untouched = [], machines * times, here.count - machines
    if machines:
        parts.append(_with(fleet, here, machines, (kind, way, times)))
    if untouched and count > placed:
        parts.append(_with(fleet, here, 1, (kind, way, count - placed)))
        placed, untouched = count, untouched - 1
    if untouched:
        here.count = untouched
        parts.append(here)
    return parts, placed


def _with(fleet: Fleet, here: Seat, count: int, content: Content) -> Seat:
    kind, way, slots = content
    needs = fleet.needs(kind, way)
    return Seat(
        group=here.group,
        machine=here.machine,
        free=tuple(free - need * slots for free, need in zip(here.free, needs, strict=True)),
        count=count,
        empty=False,
        closed=bool(kind.alternatives[way].sharing),
        contents=(*here.contents, content),
    )
