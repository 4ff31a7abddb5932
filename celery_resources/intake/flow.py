"""What may come to a node now: from which queues, and how many messages more.

It is decided anew whenever a task starts or ends. Then what came in is known, so it can be said exactly. But
the broker need not wait for that: RabbitMQ sends the next message at the very moment at which a task is
acknowledged. Where any task that could come fits in place of any that runs, that is what makes a full node
fast, and nothing is said at all. Elsewhere the credit is *closed*: set so low that nothing comes by itself.
"""

from __future__ import annotations

import time
from typing import Any, Protocol

from celery_resources.gangs.gang import Duty
from celery_resources.insides.waker import Waker
from celery_resources.intake.subscriptions import Subscriptions
from celery_resources.intake.unstarted import Unstarted
from celery_resources.node.standing import StandingFile
from celery_resources.room.books import Books
from celery_resources.room.ledger import Ledger, Need
from celery_resources.room.reserving import Reservation

RESTED = 0.1
"""Seconds after which a node that nothing was begun on serves what it left because it brought nothing."""


class Admits(Protocol):
    """What is looked at to decide: the gate, as far as its flow knows it."""

    @property
    def ledger(self) -> Ledger: ...
    @property
    def books(self) -> Books: ...
    @property
    def unstarted(self) -> Unstarted: ...
    @property
    def duty(self) -> Duty: ...
    @property
    def reservation(self) -> Reservation: ...
    @property
    def closing(self) -> bool: ...
    @property
    def standing(self) -> StandingFile: ...
    @property
    def takes_nothing(self) -> bool: ...
    @property
    def serves(self) -> dict[str, Need]: ...
    def may_start(self, queue: str, need: Need) -> bool: ...


class Flow:
    """Decides by the gate's books, and has the broker told by `subscriptions`."""

    def __init__(self, gate: Admits, consumer: Any) -> None:
        self._gate = gate
        self._consumer = consumer
        self.subscriptions = Subscriptions(consumer, self.update)
        self.waker = Waker()
        self._kinds: tuple[Need, ...] = ()
        """What may come from the queues that are consumed, each kind once."""
        self._left: tuple[Need, ...] = ()
        """And from the others that are served."""
        self._left_until = 0.0
        """When the first of these is to be consumed again, should it fit (monotonic)."""
        self._started = 0
        self._due = 0.0
        """When what was put off is to be looked at (monotonic), unless the node rests before."""
        self._room = 0
        self._refills = False
        self._only: Need | None = None
        """All that runs and all that may come are of this one kind: a start takes the place that an end
        leaves, and nothing is to be decided. None where it is not so simple."""
        self._updating = self._again = self._resumes = False

    def register(self, hub: Any) -> None:
        """To be done again for every connection: the loop forgets its sockets and timers with it."""
        self.waker.register(hub)
        self._resumes = False

    def wake(self) -> None:
        """Let the event loop turn now. May be called from any thread."""
        self.waker.wake()

    def update(self, *, now_consuming: bool = True) -> None:
        """Decide anew, and tell the broker what is different."""
        # To leave all queues is to wait for the broker, and so it may be to declare one. What is handled
        # meanwhile comes back in here: go round again instead of deeper.
        if self._updating:
            self._again = True
            return
        if self._consumer.task_consumer is None:
            return
        self._updating = True
        try:
            self._again = True
            while self._again:
                self._again = False
                self._decide(now_consuming)
        finally:
            self._updating = False

    def is_steady(self, more: int) -> bool:
        """Does it leave what is consumed and the credit as they are that there is room for so many `more`, or
        fewer: -1 after a start, 2 after two ends, 0 after one of each?

        So it is nearly always while everything that this node serves and that has messages is consumed, and
        this is far cheaper than to decide anew for every task.
        """
        gate = self._gate
        if self._updating or gate.unstarted.held or gate.closing or gate.standing.now.fenced:
            return False
        if more >= 0 and self._left and self._wants_left():
            return False
        if self._only is not None:
            self._room += more
            self.subscriptions.room = self._room
            return True
        kinds = self._kinds
        if not kinds or gate.reservation.queue or gate.duty.gang is not None:
            return False
        ledger = gate.ledger
        room, refills = ledger.outlook(kinds)
        if room != self._room + more or not (self._room or self._refills):
            return False
        if not room and len(kinds) > 1 and ledger.has_place:
            # Of several kinds one may fit still, and the others are to be left.
            return False
        self._refills = refills
        self._room = self.subscriptions.room = room
        return refills and not self.subscriptions.is_per_consumer

    def may_begin(self, need: Need) -> bool:
        """May one of this kind, which has come from its queue, begin with no other look at anything?

        The short way of most tasks: what has ended meanwhile is seen at the next turn of the loop.
        """
        gate = self._gate
        if gate.closing or gate.standing.now.fenced or gate.unstarted.held:
            return False
        if need is self._only:
            return self._room > 0
        if need not in self._kinds or gate.reservation.queue is not None or gate.duty.gang is not None:
            return False
        return gate.ledger.fits_now(need)

    def begins_other(self, need: Need) -> None:
        """One begins that was looked at."""
        if need is not self._only:
            self._only = None

    def _wants_left(self) -> bool:
        """Is there room for a kind that was left, and is its time over?"""
        if time.monotonic() < self._left_until:
            return False
        return any(map(self._gate.ledger.fits_now, self._left))

    def _the_only(self) -> Need | None:
        ledger, kinds = self._gate.ledger, self._kinds
        if not self._refills or len(kinds) != 1 or not ledger.runs_only(kinds[0]):
            return None
        # Else some run that have no place any more: the pool has shrunk.
        is_exact = len(ledger.running) + self._room <= ledger.slots
        return kinds[0] if is_exact and not self.subscriptions.is_per_consumer else None

    def _decide(self, now_consuming: bool) -> None:
        self._only = None
        gate, ledger, subscriptions = self._gate, self._gate.ledger, self.subscriptions
        serves = {} if gate.takes_nothing else gate.serves
        full = bool(gate.unstarted.held)
        fitting = {
            queue
            for queue, need in serves.items()
            if not full and ledger.fits_now(need) and gate.may_start(queue, need)
        }
        subscriptions.choose(
            allowed=serves.keys(), fitting=fitting, idle=not gate.books.running, rested=self._is_rested
        )
        self._kinds = tuple({serves[queue]: None for queue in subscriptions.active})
        left = serves.keys() - subscriptions.active
        self._left = tuple({serves[queue]: None for queue in left})
        self._left_until = min(map(subscriptions.quiet_until, left), default=0.0)
        self._room = ledger.room_for_any(self._kinds) if fitting else 0
        if gate.duty.gang is not None:
            self._room = min(self._room, 1)
        exact = not (full or gate.reservation.queue or gate.duty.gang)
        self._refills = exact and ledger.is_refilled_by(self._kinds, self._room)
        kept = len(gate.unstarted)
        open_for = gate.books.unacknowledged() + self._room if self._room or self._refills else 0
        if subscriptions.apply(kept + open_for, self._room, now_consuming=now_consuming):
            # A Redis transport looks at its credit only at the start of a turn of the loop.
            self.waker.wake()
        if subscriptions.postponed:
            self._due = time.monotonic() + subscriptions.postponed
            self._resume_later()
        self._only = self._the_only()

    def _resume_later(self) -> None:
        if not self._resumes:
            self._resumes = True
            wait = max(0.0, min(self._due - time.monotonic(), RESTED))
            self._consumer.hub.call_later(wait, self._resume)

    def _resume(self) -> None:
        self._resumes = False
        if self._is_rested or time.monotonic() >= self._due:
            self.update()
        elif self.subscriptions.postponed:
            self._resume_later()
        self._started = self._gate.ledger.started

    @property
    def _is_rested(self) -> bool:
        """Nothing runs, and nothing has begun since this was last looked at for what was put off."""
        return not self._gate.books.running and self._gate.ledger.started == self._started
