"""Which nodes the plan could not do without.

All work, what runs included, is packed anew onto the nodes there are, those that run something for long and
those that were needed before first. Nodes that get nothing are not needed, even if some task is touching them
now: once they are left alone, the others do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scalelib.node import Node, NodeId
from scalelib.planning.fleet import Amounts, Fleet, Tier
from scalelib.planning.kinds import Kind
from scalelib.planning.seating import Seat, seat


@dataclass(eq=False, kw_only=True, slots=True)
class Peers:
    """Nodes that are equal and run equally much."""

    nodes: list[Node]
    machine: int
    tier: Tier
    total: Amounts
    settled: bool = False
    """Something has run there for long."""
    was_needed: bool = False
    """The plan before could not do without it either."""
    busy: float
    """Share of the node that runs now, to prefer what runs most."""


def needed(
    fleet: Fleet, peers: Sequence[Peers], work: Mapping[Kind, int], pinned: Iterable[NodeId]
) -> set[NodeId]:
    """The ids of the nodes that are needed. `pinned`: needed whatever the rest does."""
    found = set(pinned)
    if not peers:
        return found
    order = sorted(peers, key=_order)
    seats = [
        Seat(group=i, machine=each.machine, free=each.total, count=len(each.nodes))
        for i, each in enumerate(order)
    ]
    used = [0] * len(order)
    for filled in seat(fleet, seats, work)[0]:
        if not filled.empty:
            used[filled.group] += filled.count
    for each, count in zip(order, used, strict=True):
        found.update(node.id for node in each.nodes[:count])
    return found


def _order(peers: Peers) -> tuple[object, ...]:
    # Hosts that are not ours cost nothing; then those where long work would have to end first. Then the same
    # as before: of a fleet that nibbles at one queue another node runs something at each look, and none would
    # be left alone for long. Then what runs most.
    first = peers.nodes[0]
    return (
        peers.tier is not Tier.UNMANAGED,
        not peers.settled,
        not peers.was_needed,
        -peers.busy,
        peers.tier,
        first.name,
        first.id,
    )
