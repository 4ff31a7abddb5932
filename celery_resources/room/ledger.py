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

FILLINGS = 1_000
"""Of the ways in which a node can be filled, those that are kept."""


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


class Filling:
    """What runs, as a number of each kind, and what was asked about it so far.

    A node comes through the same few again and again, with every task that starts or ends: each is worked out
    once, and the next one is known.
    """

    def __init__(self, kinds: dict[Need, int], total: Mapping[str, int]) -> None:
        self.kinds = kinds
        self.count = sum(kinds.values())
        self.is_taken_whole = self.count == 1 and next(iter(kinds)).exclusive
        self.free = dict(total)
        for need, count in kinds.items():
            for counter, amount in need.amounts.items():
                self.free[counter] = self.free.get(counter, 0) - count * amount
        self.fits: dict[Need, bool] = {}
        """Whether there is enough of each counter; places and GPUs apart."""
        self.outlooks: dict[tuple[Need, ...], tuple[int, bool]] = {}
        self.more: dict[Need, Filling] = {}
        """With one of these more."""
        self.less: dict[Need, Filling] = {}
        """With one of these less."""


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
        self._slots = slots
        self._machine = machine_of(resources, properties or {})
        self._alone = alone
        """No autoscaler knows more of this node than the node itself."""
        self.total = self._machine.total
        self.running: dict[Hashable, Need] = {}
        self.started = 0
        """How many ever."""
        self._fillings: dict[frozenset[tuple[Need, int]], Filling] = {}
        self._now = self._filling({})
        self.gpus = Gpus(self.total.get(NGPUS, 0))
        self._needs: dict[Requirement, Need] = {}
        self._fits_ever: dict[Need, bool] = {}

    @property
    def slots(self) -> int:
        """Places in the worker's pool: never more tasks at once, whatever they need."""
        return self._slots

    @slots.setter
    def slots(self, slots: int) -> None:
        if slots != self._slots:
            self._slots = slots
            self._fillings.clear()
            self._now = self._filling(self._now.kinds)

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
        now = self._now
        found = now.fits.get(need)
        if found is None:
            if need.unfit:
                # Of what cannot be read each is a kind of its own: none is kept.
                return False
            found = now.fits[need] = self._is_enough(now, need)
        if not found or not now.count:
            return found
        return now.count < self._slots and (not need.gpus or self.gpus.fits(need.gpus))

    def _is_enough(self, now: Filling, need: Need) -> bool:
        if not now.count:
            return self.fits_ever(need)
        if need.exclusive or now.is_taken_whole:
            return False
        return all(amount <= now.free.get(counter, 0) for counter, amount in need.amounts.items())

    def start(self, key: Hashable, need: Need) -> None:
        """Write down that it runs."""
        self.running[key] = need
        self.started += 1
        now = self._now
        self._now = now.more.get(need) or self._with(need, 1, now.more)
        if need.gpus:
            self.gpus.take(key, need.gpus)

    def end(self, key: Hashable) -> None:
        """Write down that it no longer runs."""
        need, now = self.running.pop(key), self._now
        self._now = now.less.get(need) or self._with(need, -1, now.less)
        if need.gpus:
            self.gpus.give_back(key)

    def _with(self, need: Need, by: int, next_: dict[Need, Filling]) -> Filling:
        kinds = {**self._now.kinds, need: self._now.kinds.get(need, 0) + by}
        found = next_[need] = self._filling({each: count for each, count in kinds.items() if count})
        return found

    def _filling(self, kinds: dict[Need, int]) -> Filling:
        key = frozenset(kinds.items())
        found = self._fillings.get(key)
        if found is None:
            if len(self._fillings) >= FILLINGS:
                # No new one leads to an old one: those go.
                self._fillings.clear()
            found = self._fillings[key] = Filling(kinds, self.total)
        return found

    def outlook(self, needs: tuple[Need, ...]) -> tuple[int, bool]:
        """`room_for_any` of these, and whether they refill it (`is_refilled_by`) with that room."""
        if self.gpus.total:
            # Which of them are free is more than how many.
            return self._look_out(needs)
        found = self._now.outlooks.get(needs)
        if found is None:
            found = self._now.outlooks[needs] = self._look_out(needs)
        return found

    def _look_out(self, needs: tuple[Need, ...]) -> tuple[int, bool]:
        room = self.room_for_any(needs)
        return room, self.is_refilled_by(needs, room)

    def room_for_any(self, needs: Collection[Need]) -> int:
        """How many more tasks surely fit now, whichever of these each of them turns out to be."""
        now = self._now
        room = self._slots - now.count
        if room <= 0 or now.is_taken_whole:
            return 0
        free, wants_gpus = now.free, False
        for need in needs:
            wants_gpus = wants_gpus or need.gpus > 0
            if need.exclusive:
                room = min(room, 0 if now.count else 1)
            for counter, amount in need.amounts.items():
                if amount and (left := free.get(counter, 0) // amount) < room:
                    room = left
        if wants_gpus:
            room = min(room, self.gpus.room_for_any([need.gpus for need in needs]))
        return max(room, 0)

    def runs_only(self, need: Need) -> bool:
        """Is all that runs, if anything does, of this kind, and are its tasks told apart by nothing?"""
        return not (need.gpus or need.exclusive) and self._now.kinds.keys() <= {need}

    @property
    def has_place(self) -> bool:
        """Is a place in the pool free? Without one nothing fits, whatever it needs."""
        return self._now.count < self._slots

    def is_refilled_by(self, needs: Collection[Need], room: int = 0) -> bool:
        """Does each of these fit in the place of any that runs, even if several end at once and `room` more
        come as well?
        """
        for mine in self._now.kinds:
            for need in needs:
                if mine is not need and not _takes_no_more(need, mine):
                    return self._has_room_for_all(needs, room)
        return True

    def _has_room_for_all(self, needs: Collection[Need], room: int) -> bool:
        """If all that runs became the largest of these, and `room` more of it came: would that be enough?"""
        if any(need.gpus or need.exclusive for need in (*needs, *self._now.kinds)):
            return False
        for counter in {counter for need in needs for counter in need.amounts}:
            most = max(need.amounts.get(counter, 0) for need in needs)
            taken = sum(
                count * max(most, mine.amounts.get(counter, 0)) for mine, count in self._now.kinds.items()
            )
            if taken + room * most > self.total.get(counter, 0):
                return False
        return True

    @property
    def free(self) -> Mapping[str, int]:
        """What is free per counter, an exclusive task aside."""
        return self._now.free

    def free_in_words(self) -> dict[str, float | int]:
        """What is free, in the words and units in which the total was given."""
        return {name: self._in_unit(name, self._now.free) for name in self._amounts_given()}

    def total_in_words(self) -> dict[str, float | int]:
        """What there is, in the words and units in which it was given."""
        return {name: self._in_unit(name, self.total) for name in self._amounts_given()}

    def _amounts_given(self) -> list[str]:
        return [name for name, value in self.resources.items() if counter_of(name, value) in self.total]

    def _in_unit(self, name: str, amounts: Mapping[str, int]) -> float | int:
        if self._now.is_taken_whole and amounts is self._now.free:
            return 0
        value = amounts[counter_of(name, self.resources[name])] / units(name, 1, up=False)
        return int(value) if value.is_integer() else round(value, 6)


def _takes_no_more(need: Need, other: Need) -> bool:
    # Which GPUs the other one leaves is not known here, nor what else keeps an exclusive task out.
    if need.gpus or need.exclusive or other.exclusive:
        return False
    return all(amount <= other.amounts.get(counter, 0) for counter, amount in need.amounts.items())
