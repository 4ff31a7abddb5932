"""Requests that have come to this node and have not started: held for room, or waiting for their time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from celery_resources.insides.requests import cancel_timer, is_revoked, strike_off
from celery_resources.intake.giving_back import give_back
from celery_resources.room.books import queue_of
from celery_resources.room.ledger import Need


class Unstarted:
    """At most one request is held for room for longer than a moment; the others wait for an ETA or a rate."""

    def __init__(self, consumer: Any, patience: float) -> None:
        self._consumer = consumer
        self._patience = patience
        self._held: list[tuple[Any, Need, float]] = []
        self._scheduled: set[Any] = set()
        self.returned = 0
        """How many messages went back to their queues from here."""

    def __len__(self) -> int:
        return len(self._held) + len(self._scheduled)

    @property
    def holds(self) -> bool:
        """Is one held that wants to run now?"""
        return bool(self._held)

    @property
    def scheduled(self) -> int:
        """How many wait for an ETA or a rate."""
        return len(self._scheduled)

    def requests(self) -> set[Any]:
        """All of them."""
        return self._scheduled | {request for request, _, _ in self._held}

    def received(self, request: Any) -> None:
        """It came; it will be asked for at once, or when its time or its rate allows."""
        self._scheduled.add(request)

    def asked(self, request: Any) -> None:
        """Its time has come."""
        self._scheduled.discard(request)

    def hold(self, request: Any, need: Need) -> None:
        """It wants to run, and there is no room."""
        self._held.append((request, need, time.monotonic()))

    @property
    def is_impatient(self) -> bool:
        """Has one been held for too long?"""
        return bool(self._held) and time.monotonic() - self._held[0][2] > self._patience

    def serve(self, start: Callable[[Any, Need], bool]) -> None:
        """Start what is held, the oldest first, as far as `start` does. All but one of the rest go back."""
        while self._held:
            request, need, _ = self._held[0]
            if request.acknowledged or is_revoked(request):
                strike_off(request)
            elif not start(request, need):
                break
            self._held.pop(0)
        while len(self._held) > 1:
            self.give_back(self._held.pop()[0])

    def give_back(self, request: Any, *, to_the_end: bool = False) -> None:
        """Return one message to its queue."""
        self.returned += 1
        give_back(request, to_the_end=to_the_end)

    def give_back_held(self) -> None:
        """Newest first, so that they stand in their queue in the order in which they came."""
        while self._held:
            self.give_back(self._held.pop()[0])

    def give_back_all(self) -> None:
        """Return everything, timers and rate limits included."""
        self.give_back_held()
        for bucket in self._consumer.task_buckets.values():
            if bucket:
                bucket.clear_pending()
        for request in list(self._scheduled):
            cancel_timer(self._consumer, request)
            if not request.acknowledged:
                self.give_back(request)
        self._scheduled.clear()

    def sweep(self) -> None:
        """Forget what was settled elsewhere: revoked, expired, rejected."""
        self._scheduled = {request for request in self._scheduled if not request.acknowledged}

    def forget(self, *, as_returned: bool) -> None:
        """The channel is gone or going, and with it every delivery: the broker has them again."""
        self.returned += len(self) if as_returned else 0
        self._held.clear()
        self._scheduled.clear()

    def told(self) -> list[dict[str, Any]]:
        """What is held, as a node tells it."""
        return [{"id": request.id, "queue": queue_of(request)} for request, _, _ in self._held]
