"""Things that the whole cluster shares, such as licences: how many slots they allow."""

from __future__ import annotations

from collections.abc import Iterable

from scalelib.constraints import SharedConsumable
from scalelib.constraints.alternatives import alternatives
from scalelib.job import Job
from scalelib.planning.kinds import Kind


class Shared:
    """What is left of each shared thing. Where jobs disagree on the total, the smallest holds."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._left: dict[str, int] = {}
        # Equal constraints are mostly the same object (see `constraints.parse`).
        for constraint in {id(job.constraints): job.constraints for job in jobs}.values():
            for each in constraint.walk():
                if isinstance(each, SharedConsumable):
                    self._left[each.name] = min(each.total_units, self._left.get(each.name, each.total_units))

    def fork(self) -> Shared:
        """An independent copy, to try something with."""
        other = Shared(())
        other._left = dict(self._left)
        return other

    def run(self, jobs: Iterable[Job]) -> None:
        """Take what jobs that run already have."""
        if not self._left:
            return
        for job in jobs:
            for each in alternatives(job.constraints)[0].shared:
                times = 1 if each.once_per_job else job.iterations
                self._left[each.name] -= each.units * times

    def allowed(self, kind: Kind, placed: int = 0) -> int:
        """How many of the kind's slots what is left allows, beyond those that were taken for already."""
        allowed = kind.count - placed
        for each in _consumables(kind):
            left = max(self._left[each.name], 0)
            if not each.units:
                continue
            if each.once_per_job:
                jobs = _jobs_begun(kind, placed) + left // each.units
                allowed = min(allowed, sum(slots for _, slots in kind.jobs[:jobs]) - placed)
            else:
                allowed = min(allowed, left // each.units)
        return allowed

    def take(self, kind: Kind, more: int, placed: int = 0) -> None:
        """Take for so many more slots, beyond those that were taken for already."""
        for each in _consumables(kind):
            begun = _jobs_begun(kind, placed + more) - _jobs_begun(kind, placed)
            self._left[each.name] -= each.units * (begun if each.once_per_job else more)

    def give_back(self, kind: Kind, taken: int, over: int) -> None:
        """Of `taken` slots, `over` got no place after all."""
        for each in _consumables(kind):
            times = _jobs_begun(kind, taken) - _jobs_begun(kind, taken - over) if each.once_per_job else over
            self._left[each.name] += each.units * times

    def left(self, name: str) -> int:
        """Millionths left."""
        return self._left[name]


def _consumables(kind: Kind) -> tuple[SharedConsumable, ...]:
    """What a slot takes; with alternatives, the most that any of them takes, so that none is oversold."""
    worst: dict[str, SharedConsumable] = {}
    for way in kind.alternatives:
        for each in way.shared:
            if each.name not in worst or each.units > worst[each.name].units:
                worst[each.name] = each
    return tuple(worst.values())


def consumables(kind: Kind) -> tuple[SharedConsumable, ...]:
    """What a slot of the kind takes of shared things."""
    return _consumables(kind)


def _jobs_begun(kind: Kind, placed: int) -> int:
    begun = 0
    for _, slots in kind.jobs:
        if placed <= 0:
            break
        begun += 1
        placed -= slots
    return begun
