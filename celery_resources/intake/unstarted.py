"""Requests that have come to this node and have not started: held for room, or waiting for their time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from celery_resources.insides.requests import cancel_timer, is_revoked, strike_off
from celery_resources.intake.giving_back import give_back
from celery_resources.room.books import queue_of
from celery_resources.room.ledger import Need

MOST_NAMED = 500
"""Tasks for later that an account names; of more the soonest, and how many more."""
MOST_ASIDE = 100
"""Messages that can never run here and are kept all the same, at one time."""
ASIDE_FOR = 5.0
"""Seconds for which each is kept. Every return counts where a quorum queue has a limit of deliveries."""
TOLD_FOR = 120.0
"""Seconds for which a node tells that a task went back before its time: an account or two may be lost."""


class Unstarted:
    """At most one request is held for room for longer than a moment; the others wait for an ETA or a rate."""

    def __init__(self, consumer: Any, patience: float) -> None:
        self._consumer = consumer
        self._patience = patience
        self.held: list[tuple[Any, Need, float]] = []
        """What wants to run now, each with since when (monotonic)."""
        self.later: set[Any] = set()
        """What waits for its time or its rate."""
        self._aside: dict[Any, float] = {}
        """What can never run here, each with since when (monotonic): the rest of its queue comes."""
        self._backs = 0
        self._went_back: deque[tuple[dict[str, Any], float]] = deque(maxlen=MOST_NAMED)
        """What waited for its time and went back to its queue, each with when (monotonic)."""
        self.returned = 0
        """How many messages went back to their queues from here."""

    def __len__(self) -> int:
        return len(self.held) + len(self.later) + len(self._aside)

    @property
    def scheduled(self) -> int:
        """How many wait for an ETA or a rate, or for a node that can run them."""
        return len(self.later) + len(self._aside)

    def requests(self) -> set[Any]:
        """All of them."""
        return self.later | self._aside.keys() | {request for request, _, _ in self.held}

    def comes_later(self, request: Any) -> None:
        """It came; it will be asked for when its time or its rate allows."""
        self.later.add(request)

    def hold(self, request: Any, need: Need) -> None:
        """It wants to run, and there is no room."""
        self.held.append((request, need, time.monotonic()))

    @property
    def is_impatient(self) -> bool:
        """Has one been held for too long?"""
        return bool(self.held) and time.monotonic() - self.held[0][2] > self._patience

    def serve(self, start: Callable[[Any, Need], bool]) -> None:
        """Start what is held, the oldest first, as far as `start` does. All but one of the rest go back."""
        while self.held:
            request, need, _ = self.held[0]
            if request.acknowledged or is_revoked(request):
                strike_off(request)
            elif not start(request, need):
                break
            self.held.pop(0)
        while len(self.held) > 1:
            self.give_back(self.held.pop()[0])

    def give_back(self, request: Any, *, to_the_end: bool = False) -> None:
        """Return one message to its queue."""
        self.returned += 1
        self._note_back(request)
        give_back(request, to_the_end=to_the_end)

    def give_back_held(self) -> None:
        """Newest first, so that they stand in their queue in the order in which they came."""
        while self.held:
            self.give_back(self.held.pop()[0])

    def set_aside(self, request: Any) -> bool:
        """This node can never run it: keep it for a while. False: too many are kept."""
        if len(self._aside) >= MOST_ASIDE:
            return False
        self._aside[request] = time.monotonic()
        return True

    def give_back_aside(self) -> set[str]:
        """Return what was set aside of each queue whose first has been here for long enough. Those queues."""
        now = time.monotonic()
        due = {queue_of(request) for request, since in self._aside.items() if now - since > ASIDE_FOR}
        self._give_back_aside([request for request in self._aside if queue_of(request) in due])
        return due

    def _give_back_aside(self, requests: list[Any]) -> None:
        for request in requests:
            del self._aside[request]
            self.give_back(request, to_the_end=True)

    def give_back_all(self) -> None:
        """Return everything, timers and rate limits included."""
        self.give_back_held()
        self._give_back_aside(list(self._aside))
        for bucket in self._consumer.task_buckets.values():
            if bucket:
                bucket.clear_pending()
        for request in list(self.later):
            cancel_timer(self._consumer, request)
            if not request.acknowledged:
                self.give_back(request)
        self.later.clear()

    def sweep(self) -> None:
        """Forget what was settled elsewhere: revoked, expired, rejected, or no task at all."""
        self.later = {
            request
            for request in self.later
            if not (request.acknowledged or getattr(request.message, "acknowledged", False))
        }

    def forget(self, *, as_returned: bool) -> None:
        """The channel is gone or going, and with it every delivery: the broker has them again."""
        self.returned += len(self) if as_returned else 0
        for request in self.later:
            self._note_back(request)
        self.held.clear()
        self.later.clear()
        self._aside.clear()

    def told(self) -> list[dict[str, Any]]:
        """What is held, as a node tells it. Of what waits for its rate the first of each queue: that is work
        here, and never more of it than one at a time.
        """
        held = [request for request, _, _ in self.held]
        for_rate = {queue_of(each): each for each in self.later if not _is_for_later(each)}
        queues = {queue_of(request) for request in held}
        held += [request for queue, request in sorted(for_rate.items()) if queue not in queues]
        return [{"id": each.id, "queue": queue_of(each)} for each in held]

    def coming(self) -> dict[str, Any]:
        """What waits here for its time, the soonest by name; and what has lately gone back before its time.

        `back` numbers those that went back, so that one is known to be in its queue from when it was told
        first, and no more when it was told again.
        """
        now = time.monotonic()
        while self._went_back and now - self._went_back[0][1] > TOLD_FOR:
            self._went_back.popleft()
        later = sorted((r for r in self.later if _is_for_later(r)), key=lambda request: request.eta)
        named = [_named(request) for request in later[:MOST_NAMED]]
        return {
            "tasks": named,
            "more": len(later) - len(named),
            "went_back": [said for said, _ in self._went_back],
        }

    def _note_back(self, request: Any) -> None:
        if _is_for_later(request):
            self._backs += 1
            self._went_back.append(({**_named(request), "back": self._backs}, time.monotonic()))


def _is_for_later(request: Any) -> bool:
    eta = getattr(request, "eta", None)
    return eta is not None and eta.timestamp() > time.time()


def _named(request: Any) -> dict[str, Any]:
    return {"id": request.id, "queue": queue_of(request), "at": request.eta.timestamp()}
