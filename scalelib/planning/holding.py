"""Keeping machines for work that came first and does not fit yet, from work that came later."""

from __future__ import annotations

from datetime import timedelta
from hashlib import blake2b
from typing import Final

from scalelib.node import NodeId
from scalelib.planning.fleet import Tier
from scalelib.planning.kinds import Kind
from scalelib.planning.together import Together

HOLD: Final = timedelta(minutes=30)
"""For so long machines are kept; then, for as long, later work may pass it. Something may run on them that
never ends: nobody is to wait for it for ever.
"""

_UP: Final = (Tier.UNMANAGED, Tier.READY, Tier.BOOTING)


def chosen_for(together: Together, kind: Kind, waited: timedelta) -> frozenset[NodeId]:
    """Nodes to keep for one slot (or gang) of the kind, which has waited for so long without any; none if it
    would not fit on them if they were empty.

    Those that have room for it come first. Which others, is left to chance, drawn anew each time: if what
    runs on one never ends, it is not chosen for ever.
    """
    fleet, wanted = together.fleet, max(kind.node_count, 1)
    if waited // HOLD % 2:
        return frozenset()
    places: dict[object, list[tuple[bool, bool, bytes, NodeId]]] = {}
    for cohort in fleet.cohorts:
        outside = kind.colocated and cohort.group is None
        if not cohort.nodes or cohort.tier not in _UP or outside:
            continue
        if not fleet.catalogue.levels(kind, cohort.machine):
            continue
        full = together.cohort_piece(kind, cohort) is None
        here = places.setdefault((cohort.bucket_id, cohort.group) if kind.grouped else None, [])
        here += [(full, not cohort.empty, _chance(waited, node.id), node.id) for node in cohort.nodes]
    offers = () if kind.grouped else fleet.offers
    room = max((fleet.room(o) for o in offers if fleet.catalogue.levels(kind, o.machine)), default=0)
    enough = [sorted(each)[:wanted] for each in places.values() if len(each) + room >= wanted]
    if not enough:
        return frozenset()
    best = min(enough, key=lambda each: (-len(each), sum(full for full, *_ in each), each))
    return frozenset(node_id for *_, node_id in best)


def _chance(waited: timedelta, node_id: NodeId) -> bytes:
    return blake2b(f"{waited // HOLD} {node_id}".encode(), digest_size=8).digest()
