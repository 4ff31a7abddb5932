"""Celery's part on a node, played by a few plain objects: for tests that need no broker."""

from __future__ import annotations

from datetime import datetime
from types import SimpleNamespace
from typing import Any

from celery_resources.gangs.gang import Duty
from celery_resources.gangs.membership import Membership
from celery_resources.insides.deliveries import Deliveries
from celery_resources.intake.misfits import Misfits
from celery_resources.intake.unstarted import Unstarted
from celery_resources.need.header import HEADER
from celery_resources.node.gate import ResourceGate
from celery_resources.node.operator import Operator
from celery_resources.node.standing import Standing
from celery_resources.room.books import Books
from celery_resources.room.node import NodeFacts
from celery_resources.sending.kinds import Kinds
from celery_resources.settings import Settings


class Request:
    """A request as Celery's books have it; it writes down what becomes of its message."""

    acknowledged = False
    time_start: float | None = None
    name = "t"
    eta: datetime | None = None
    _apply_result: Any = None
    _already_cancelled = False

    def __init__(self, name: str, queue: str = "q", **needs: Any) -> None:
        self.id = name
        self.request_dict: dict[str, Any] = {HEADER: needs} if needs else {}
        self.delivery_info = {"routing_key": queue}
        self.message = SimpleNamespace(channel=SimpleNamespace(), delivery_tag=name)
        self.went_back: list[bool] = []
        self.is_revoked = False

    def reject(self, requeue: bool) -> None:
        """Back to the queue, or dropped."""
        self.went_back.append(requeue)
        self.acknowledged = True

    def revoked(self) -> bool:
        """Whether somebody revoked it; settles the message as Celery does."""
        self.acknowledged = self.acknowledged or self.is_revoked
        return self.is_revoked


def plain_gate(submitted: list[Any], **resources: int) -> Any:
    """The gate of a node (of one cpu), whose flow and telling do nothing; what it starts is `submitted`."""
    gate: Any = ResourceGate.__new__(ResourceGate)
    gate.settings = Settings()
    gate.kinds = Kinds(gate.settings)
    gate.books = Books(NodeFacts(resources=resources or {"ncpus": 1}), 4, gate.kinds)
    gate.ledger = gate.books.ledger
    gate.consumer = SimpleNamespace(
        qos=None,
        task_buckets={},
        pool=None,
        event_dispatcher=None,
        task_consumer=SimpleNamespace(channel=None),
        app=None,
        hostname="celery@n2",
    )
    gate.consumer.on_connection_error_after_connected = lambda error: None
    gate.deliveries = Deliveries(gate.consumer)
    gate.unstarted = Unstarted(gate.consumer, 2.0)
    gate.duty, gate.closing, gate.closed_connected = Duty(None), False, False
    gate.standing, gate.sealing = PlainStanding(), None
    gate.membership = Membership(gate)
    gate.reservation = SimpleNamespace(allows=lambda *_: True, started=lambda *_: None, queue=None)
    gate.flow = SimpleNamespace(
        update=lambda **_: None,
        is_steady=lambda _: False,
        may_begin=lambda _: False,
        begins_other=lambda _: None,
    )
    gate.telling = SimpleNamespace(changed=lambda: None, started=12.5, is_due=False)
    gate.subscriptions = SimpleNamespace(
        is_named=False, is_stuck=False, back_off=lambda: None, credit_was_moved=False, room=1
    )
    gate.offers = SimpleNamespace(queues={"q": None})
    gate.operator = Operator(gate.consumer, gate.served_anew)
    gate.misfits = Misfits(gate.ledger, gate.unstarted, gate._serves_others)
    gate._serves = None
    gate._submit = submitted.append
    return gate


def kept_house(gate: Any) -> Any:
    """With what its housekeeping looks after besides."""
    gate.consumer.pool, gate.consumer.controller = SimpleNamespace(num_processes=4), None
    gate.offers.news = lambda: False
    gate.membership.look = gate.subscriptions.bind_again = lambda: None
    return gate


class PlainStanding:
    """A standing that is not written anywhere."""

    def __init__(self) -> None:
        self.now = Standing()

    def change(self, **changes: Any) -> Standing:
        """As `StandingFile.change`."""
        self.now = Standing(**{**{name: getattr(self.now, name) for name in _FIELDS}, **changes})
        return self.now


_FIELDS = ("joined", "fenced", "fence_reason", "gang")
