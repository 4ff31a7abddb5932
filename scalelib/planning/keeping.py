"""Putting work on the machines that were bought for it, before anything else is placed."""

from __future__ import annotations

from collections.abc import Sequence

from scalelib.planning.fleet import Cohort
from scalelib.planning.kinds import Kind
from scalelib.planning.together import Piece, Scope, Together


def keep(together: Together, kind: Kind, count: int) -> int:
    """Put slots (gangs, with a node count) where they were meant to be; how many are left over comes back."""
    meant = [c for c in together.fleet.meant_for(kind) if c.group is not None or not kind.colocated]
    if not kind.node_count:
        for cohort in meant:
            count = _keep_slots(together, kind, count, cohort)
        return count
    # A gang that is to be in one placement group is in the one in which it was.
    places = {(c.bucket_id, c.group) if kind.grouped else None: None for c in meant}
    for place in places:
        count = _keep_gangs(together, kind, count, place)
    return count


def _keep_gangs(together: Together, kind: Kind, count: int, place: tuple[str, str | None] | None) -> int:
    while count > 0:
        meant = together.fleet.meant_for(kind)
        here = [c for c in meant if place is None or (c.bucket_id, c.group) == place]
        pieces = together.choose(kind, Scope(cohorts=here, offers=()), count, kept=True)
        if pieces is None:
            break
        count -= together.put_gangs(kind, pieces, count, _at_once(kind, pieces, here, count))
    return count


def _at_once(kind: Kind, pieces: Sequence[Piece], here: Sequence[Cohort], count: int) -> int:
    """Gangs that may take these machines all at once, so that those that follow still find theirs.

    Gangs may be dealt out over machines in turn: what is on a machine that is not chosen has to be of as many
    later gangs.
    """
    chosen = {piece.source: piece.count for piece in pieces if isinstance(piece.source, Cohort)}
    rest = [cohort.still_meant(kind) for cohort in here if cohort.count > chosen.get(cohort, 0)]
    meant = sum(cohort.still_meant(kind) * cohort.count for cohort in here)
    return max(min(count, meant // kind.node_count) - max(rest, default=0), 1)


def _keep_slots(together: Together, kind: Kind, count: int, cohort: Cohort) -> int:
    piece = together.cohort_piece(kind, cohort)
    if piece is None:
        return count
    fleet, each = together.fleet, min(piece.space, cohort.still_meant(kind))
    full = min(count // each, cohort.count)
    if full:
        is_all = full == cohort.count
        fleet.put(fleet.part(cohort, full), kind, piece.way, each)
        count -= full * each
        if is_all:
            return count
    if count > 0:
        fleet.put(fleet.part(cohort, 1), kind, piece.way, count)
    return 0
