"""What a node tells: on request, on every change (not too often), and at a slow beat."""

from __future__ import annotations

import itertools
import os
import random
import time
from typing import Any, Protocol

from celery_resources.gangs.gang import Duty
from celery_resources.insides.garbage import set_aside
from celery_resources.intake.offers import Offers
from celery_resources.intake.subscriptions import Subscriptions
from celery_resources.intake.unstarted import Unstarted
from celery_resources.node.sealing import Sealing
from celery_resources.node.standing import StandingFile
from celery_resources.room.books import Books
from celery_resources.room.ledger import Ledger
from celery_resources.room.machine import short_host, this_machine
from celery_resources.room.node import NodeFacts
from celery_resources.settings import Settings

EVENT = "worker-resources"
"""Type of the event. It begins with `worker-`, so that it flows without `-E`."""


class Told(Protocol):
    """What an account is made of: the gate, as far as what it tells is concerned."""

    @property
    def facts(self) -> NodeFacts: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def standing(self) -> StandingFile: ...
    @property
    def sealing(self) -> Sealing | None: ...
    @property
    def ledger(self) -> Ledger: ...
    @property
    def books(self) -> Books: ...
    @property
    def unstarted(self) -> Unstarted: ...
    @property
    def duty(self) -> Duty: ...
    @property
    def offers(self) -> Offers: ...
    @property
    def subscriptions(self) -> Subscriptions: ...


class Telling:
    """The account that a node gives of itself."""

    def __init__(self, gate: Told, consumer: Any) -> None:
        self._gate = gate
        self._consumer = consumer
        self._seq = itertools.count(1)
        self._events = 0
        self.started = time.time()
        """When this worker process started, as it tells it: with its id, which life of it this is."""
        self._machine = this_machine()
        self.is_due = False
        """Is a change to be told in a moment?"""
        self._told_at = 0.0
        self._pace = 0.0

    def slow_down(self, seconds: float) -> None:
        """Tell what changes no oftener than this from now on, or as often as ever (0)."""
        self._pace = seconds
        # Nodes that are told together must not speak together ever after.
        self._told_at = time.monotonic() - random.uniform(0, seconds)

    def payload(self) -> dict[str, Any]:
        """Total, free, running, held, queues and fence, as JSON."""
        gate = self._gate
        standing = gate.standing.now
        return {
            "hostname": short_host(self._consumer.hostname),
            "nodename": self._consumer.hostname,
            "pid": os.getpid(),
            "total": gate.ledger.total_in_words(),
            "free": gate.ledger.free_in_words(),
            "running": gate.books.told(),
            "ended": gate.books.tally.told(),
            "ended_tasks": gate.books.tally.told_by_name(),
            "held": gate.unstarted.told(),
            "scheduled": gate.unstarted.scheduled,
            "coming": gate.unstarted.coming(),
            "queues": sorted(standing.joined if standing.joined is not None else gate.offers.queues),
            "fenced": standing.fenced,
            "fence_reason": standing.fence_reason,
            "gang": gate.duty.told(),
            "returned": gate.unstarted.returned,
            "properties": dict(gate.facts.properties),
            "pace": self._pace,
            "garbage": set_aside.count,
            "named": gate.subscriptions.is_named,
            "seq": next(self._seq),
            "events": self._events,
            "started": self.started,
            "machine": self._machine,
        }

    def register(self, hub: Any) -> None:
        """Connected: tell once now, and whenever a beat went by without a word."""
        # The timers of an earlier connection went with it.
        self.is_due = False
        self._told_at = 0.0
        self.changed()
        hub.call_later(self._at_most(self._gate.settings.beat), self._beat)

    def changed(self) -> None:
        """Something changed: tell it soon, together with what changes until then."""
        if self.is_due:
            return
        self.is_due = True
        every = self._at_most(self._gate.settings.tell_every)
        wait = max(0.02, self._told_at + every - time.monotonic())
        self._consumer.hub.call_later(wait, self._tell)

    def _at_most(self, every: float) -> float:
        """The setting, or the pace that the control side found right for so many nodes."""
        return max(every, self._pace)

    def _beat(self) -> None:
        every = self._at_most(self._gate.settings.beat)
        left = self._told_at + every - time.monotonic()
        if left <= 0:
            # What is due is told in a moment, and would only be told twice.
            if not self.is_due:
                self._send()
            left = every
        self._consumer.hub.call_later(left, self._beat)

    def _tell(self) -> None:
        self.is_due = False
        self._send()

    def _send(self) -> None:
        self._told_at = time.monotonic()
        dispatcher = self._consumer.event_dispatcher
        if dispatcher is None or not dispatcher.enabled:
            return
        self._events += 1
        payload = self.payload()
        # An event brings these two itself; its `hostname` is the whole nodename.
        del payload["hostname"], payload["pid"]
        if self._gate.sealing is not None:
            payload = self._gate.sealing.account(payload)
        try:
            dispatcher.send(EVENT, **payload)
        except self._consumer.connection_errors:
            # The next connection starts with an event of its own.
            self.is_due = False
