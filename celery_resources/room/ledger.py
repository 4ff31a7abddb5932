"""What a node has, what runs on it, and what fits beside it. No Celery in here."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from celery_resources.need.requirement import Requirement
from celery_resources.room.gpus import NGPUS, Gpus
from celery_resources.room.suiting import machine_of, way_to_meet
from scalelib.amounts import counter_of, fits, units
from scalelib.node import ResourceValue

OUTLOOKS = 1_000
"""States of the node whose outlook is kept."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Need:
    """What one task takes from this node. There is one for each requirement: it is equal to itself alone."""

    requirement: Requirement
    amounts: Mapping[str, int]
    """Per counter, in whole units (see `scalelib.amounts`)."""
    gpus: int
    """Millionths of a GPU; they are handed out by index, so their sum alone does not say what fits."""
    exclusive: bool
    """Nothing may run beside it."""
    unfit: str = ""
    """Why this node is never right for it, whatever room there is; empty if it may be."""


class Ledger:
    """The books of one node. `start` and `end` take any hashable key for a task."""

    def __init__(
        self,
        resources: Mapping[str, Any],
        slots: int,
        properties: Mapping[str, ResourceValue] | None = None,
        *,
        alone: bool = False,
    ) -> None:
        self.resources = dict(resources)
        """What the node has, in the words and units it was given."""
        self.slots = slots
        """Places in the worker's pool: never more tasks at once, whatever they need."""
        self._machine = machine_of(resources, properties or {})
        self._alone = alone
        """No autoscaler knows more of this node than the node itself."""
        self.total = self._machine.total
        self.running: dict[Hashable, Need] = {}
        self.started = 0
        """How many ever."""
        self._kinds: dict[Need, int] = {}
        """What runs, by kind: how many of each."""
        self._free = dict(self.total)
        self.gpus = Gpus(self.total.get(NGPUS, 0))
        self._needs: dict[Requirement, Need] = {}
        self._outlooks: dict[tuple[object, ...], tuple[int, bool]] = {}
        self._fits_ever: dict[Need, bool] = {}

    def need(self, requirement: Requirement) -> Need:
        """What a task with this requirement takes from this node."""
        found = self._needs.get(requirement)
        if found is None:
            way = way_to_meet(requirement.constraints, self._machine, alone=self._alone)
            found = self._needs[requirement] = Need(
                requirement=requirement,
                amounts=way.amounts,
                gpus=way.amounts.get(NGPUS, 0),
                exclusive=requirement.exclusive or way.exclusive,
                unfit=way.unfit,
            )
        return found

    def fits_ever(self, need: Need) -> bool:
        """Would it fit if nothing else ran here?"""
        if need.unfit:
            return False
        found = self._fits_ever.get(need)
        if found is None:
            found = fits(need.amounts, self.total)
            found = found and (not need.gpus or Gpus(self.gpus.total).fits(need.gpus))
            self._fits_ever[need] = found
        return found

    def why_never(self, need: Need) -> str:
        """For a log or an error: why it does not fit this node even when nothing else runs here."""
        return need.unfit or f"it has {self.total_in_words()}"

    def fits_now(self, need: Need) -> bool:
        """May it start at this moment?"""
        if not self.running:
            return self.fits_ever(need)
        if need.unfit or need.exclusive or len(self.running) >= self.slots or self._is_taken_whole:
            return False
        free = self._free
        for counter, amount in need.amounts.items():
            if amount > free.get(counter, 0):
                return False
        return not need.gpus or self.gpus.fits(need.gpus)

    def start(self, key: Hashable, need: Need) -> None:
        """Write down that it runs."""
        self.running[key] = need
        self.started += 1
        self._kinds[need] = self._kinds.get(need, 0) + 1
        for counter, amount in need.amounts.items():
            self._free[counter] = self._free.get(counter, 0) - amount
        if need.gpus:
            self.gpus.take(key, need.gpus)

    def end(self, key: Hashable) -> None:
        """Write down that it no longer runs."""
        need = self.running.pop(key)
        self._kinds[need] -= 1
        if not self._kinds[need]:
            del self._kinds[need]
        for counter, amount in need.amounts.items():
            self._free[counter] += amount
        if need.gpus:
            self.gpus.give_back(key)

    def outlook(self, needs: tuple[Need, ...]) -> tuple[int, bool]:
        """`room_for_any` of these, and whether they refill it (`is_refilled_by`) with that room."""
        if self.gpus.total:
            # Which of them are free is more than how many.
            return self._look_out(needs)
        # Asked for every task, and always of the same few states: to know them again is far cheaper.
        state = (needs, self.slots, *self._kinds.items())
        found = self._outlooks.get(state)
        if found is None:
            if len(self._outlooks) >= OUTLOOKS:
                self._outlooks.clear()
            found = self._outlooks[state] = self._look_out(needs)
        return found

    def _look_out(self, needs: tuple[Need, ...]) -> tuple[int, bool]:
        room = self.room_for_any(needs)
        return room, self.is_refilled_by(needs, room)

    def room_for_any(self, needs: Collection[Need]) -> int:
        """How many more tasks surely fit now, whichever of these each of them turns out to be."""
        room = self.slots - len(self.running)
        if room <= 0 or self._is_taken_whole:
            return 0
        free, wants_gpus = self._free, False
        for need in needs:
            wants_gpus = wants_gpus or need.gpus > 0
            if need.exclusive:
                room = min(room, 0 if self.running else 1)
            for counter, amount in need.amounts.items():
                if amount and (left := free.get(counter, 0) // amount) < room:
                    room = left
        if wants_gpus:
            room = min(room, self.gpus.room_for_any([need.gpus for need in needs]))
        return max(room, 0)

    def runs_only(self, need: Need) -> bool:
        """Is all that runs, if anything does, of this kind, and are its tasks told apart by nothing?"""
        return not (need.gpus or need.exclusive) and self._kinds.keys() <= {need}

    @property
    def has_place(self) -> bool:
        """Is a place in the pool free? Without one nothing fits, whatever it needs."""
        return len(self.running) < self.slots

    def is_refilled_by(self, needs: Collection[Need], room: int = 0) -> bool:
        """Does each of these fit in the place of any that runs, even if several end at once and `room` more
        come as well?
        """
        for mine in self._kinds:
            for need in needs:
                if mine is not need and not _takes_no_more(need, mine):
                    return self._has_room_for_all(needs, room)
        return True

    def _has_room_for_all(self, needs: Collection[Need], room: int) -> bool:
        """If all that runs became the largest of these, and `room` more of it came: would that be enough?"""
        if any(need.gpus or need.exclusive for need in (*needs, *self._kinds)):
            return False
        for counter in {counter for need in needs for counter in need.amounts}:
            most = max(need.amounts.get(counter, 0) for need in needs)
            taken = sum(
                count * max(most, mine.amounts.get(counter, 0)) for mine, count in self._kinds.items()
            )
            if taken + room * most > self.total.get(counter, 0):
                return False
        return True

    @property
    def free(self) -> Mapping[str, int]:
        """What is free per counter, an exclusive task aside."""
        return self._free

    @property
    def _is_taken_whole(self) -> bool:
        return len(self.running) == 1 and next(iter(self.running.values())).exclusive

    def free_in_words(self) -> dict[str, float | int]:
        """What is free, in the words and units in which the total was given."""
        return {name: self._in_unit(name, self._free) for name in self._amounts_given()}

    def total_in_words(self) -> dict[str, float | int]:
        """What there is, in the words and units in which it was given."""
        return {name: self._in_unit(name, self.total) for name in self._amounts_given()}

    def _amounts_given(self) -> list[str]:
        return [name for name, value in self.resources.items() if counter_of(name, value) in self.total]

    def _in_unit(self, name: str, amounts: Mapping[str, int]) -> float | int:
        if self._is_taken_whole and amounts is self._free:
            return 0
        value = amounts[counter_of(name, self.resources[name])] / units(name, 1, up=False)
        return int(value) if value.is_integer() else round(value, 6)


def _takes_no_more(need: Need, other: Need) -> bool:
    # Which GPUs the other one leaves is not known here, nor what else keeps an exclusive task out.
    if need.gpus or need.exclusive or other.exclusive:
        return False
    return all(amount <= other.amounts.get(counter, 0) for counter, amount in need.amounts.items())
