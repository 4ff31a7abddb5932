"""How many messages may come, and from which queues: decided by the books, and told as one credit."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from celery_resources.gangs.gang import Gang
from celery_resources.intake import flow as flow_module
from celery_resources.intake.flow import Flow
from celery_resources.intake.subscriptions import Subscriptions
from tests.unit.celery_resources.plain import Request, plain_gate


class Told:
    """Subscriptions that write down what they are told."""

    active: tuple[str, ...] = ()
    postponed = 0.0

    def __init__(self, *_: Any) -> None:
        self.fitting: set[str] = set()
        self.room = self.credit = -1

    def choose(self, *, allowed: Any, fitting: set[str], idle: bool) -> None:
        self.fitting, self.active = fitting, tuple(fitting)

    def apply(self, credit: int, room: int, *, now_consuming: bool) -> bool:
        self.credit, self.room = credit, room
        return False

    def counts_the_same(self, room: int) -> bool:
        return False


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A node of four cpus, with the flow that decides."""
    monkeypatch.setattr(flow_module, "Subscriptions", Told)
    monkeypatch.setattr(flow_module, "Waker", lambda: SimpleNamespace(wake=lambda: None))
    gate = plain_gate([], ncpus=4)
    gate.consumer.task_consumer = object()
    gate.flow = Flow(gate, gate.consumer)
    return gate


def test_an_idle_node_takes_as_many_as_fit(gate: Any) -> None:
    gate.flow.update()
    told = gate.flow.subscriptions
    assert (told.fitting, told.room, told.credit) == ({"q"}, 4, 4)


def test_a_head_takes_one_message_whatever_room_it_has(gate: Any) -> None:
    gate.duty.lead(Gang(id="q/1", members=("w@n1",), queue="q"))
    gate.flow.update()
    assert gate.flow.subscriptions.room == 1


def test_nothing_more_is_asked_for_while_one_is_held(gate: Any) -> None:
    gate.unstarted.hold(Request("held"), gate.books.need_of_queue("q"))
    gate.flow.update()
    told = gate.flow.subscriptions
    assert (told.fitting, told.room) == (set(), 0)


def test_what_runs_and_is_acknowledged_takes_no_credit(gate: Any, celery_has: dict[str, Any]) -> None:
    early, late = Request("early"), Request("late")
    for request in (early, late):
        celery_has[request.id] = request
        gate.asked(request)
    early.acknowledged = True
    gate.flow.update()
    told = gate.flow.subscriptions
    assert (told.room, told.credit) == (2, 3)


class Qos:
    """The credit of a channel."""

    prev: int | None = 5
    value = 5

    def update(self) -> None:
        self.prev = self.value


@pytest.fixture
def subscriptions() -> Any:
    """Subscriptions of a RabbitMQ channel without queues."""
    made: Any = Subscriptions(SimpleNamespace(qos=Qos()), lambda: None)
    made._wait = SimpleNamespace(can_unblock=False, learn=lambda: None, end=lambda: None, is_on=False)
    made.caught_up = []
    made._unwaited = SimpleNamespace(catch_up=lambda: made.caught_up.append(True), is_on=True)
    return made


def test_a_credit_of_nothing_is_never_told_for_it_would_mean_no_limit(subscriptions: Any) -> None:
    subscriptions.choose(allowed={"q"}, fitting=set(), idle=False)
    subscriptions.apply(0, 0)
    assert subscriptions._consumer.qos.value == 1


def test_who_leaves_all_queues_handles_what_is_on_its_way_once(subscriptions: Any) -> None:
    for _ in range(2):
        subscriptions.choose(allowed=set(), fitting=set(), idle=True)
        subscriptions.apply(0, 0)
    assert subscriptions.caught_up == [True]
