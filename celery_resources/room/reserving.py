"""Keeping room for a big task that small ones would keep out for ever.

A node that always has a small task running never has room for a big one. So a node looks now and then at the
queues of those kinds that it could hold and that do not fit at present. If one of them has had messages for
too long, the node reserves itself: it takes nothing more that would be in the way of that kind, until one of
it starts here or none of it waits any more. Tasks that fit beside it are still taken: they do not delay it.
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from celery_resources.room.ledger import Ledger, Need
from scalelib.amounts import fits, minus


@dataclass(frozen=True, kw_only=True)
class Crowded:
    """A kind that this node could hold, and cannot start now."""

    need: Need
    waiting: int
    """Messages in its queue."""


class Reservation:
    """For which queue this node keeps room, if for any."""

    def __init__(self, ledger: Ledger, after: float, chance: random.Random) -> None:
        self._ledger = ledger
        self._after = after
        self._chance = chance
        self._patience: dict[str, float] = {}
        self._began: set[Hashable] = set()
        self.queue: str | None = None
        """The queue that has waited too long; None as long as none has."""
        self._need: Need | None = None

    def look(self, crowded: Mapping[str, Crowded], now: float) -> None:
        """What waits now, of the kinds that do not fit. To be called now and then."""
        waiting = {queue: each for queue, each in crowded.items() if each.waiting}
        if self.queue is not None and self.queue not in waiting:
            self.release()
        self._patience = {
            queue: self._patience.get(queue) or now + self._patience_with(each.need)
            for queue, each in waiting.items()
        }
        late = min(self._patience, key=self._patience.__getitem__, default=None)
        if self.queue is None and late is not None and self._patience[late] <= now:
            self.queue, self._need = late, waiting[late].need
            self._began.clear()

    def release(self) -> None:
        """Room is kept for nothing any more."""
        if self.queue is not None:
            self._patience.pop(self.queue, None)
        self.queue = self._need = None

    def allows(self, queue: str, need: Need) -> bool:
        """May a task of this queue start without delaying the one that room is kept for?"""
        if self._need is None or queue == self.queue:
            return True
        if self._need.exclusive or need.exclusive:
            return False
        spare = minus(self._ledger.total, self._need.amounts)
        slots = self._ledger.slots - 1
        for key in self._began & self._ledger.running.keys():
            spare = minus(spare, self._ledger.running[key].amounts)
            slots -= 1
        return slots > 0 and fits(need.amounts, spare)

    def started(self, key: Hashable, queue: str) -> None:
        """A task of this queue has started here."""
        if queue == self.queue:
            self.release()
        elif self.queue is not None:
            self._began.add(key)

    def _patience_with(self, need: Need) -> float:
        """Less on a node that lacks little, and never quite the same: not all nodes are to make room."""
        lacks = [
            amount / self._ledger.total[counter]
            for counter, amount in minus(need.amounts, self._ledger.free).items()
            if amount > 0 and self._ledger.total.get(counter)
        ]
        return self._after * (1 + max(lacks, default=0.0) / 2 + self._chance.random() / 2)
