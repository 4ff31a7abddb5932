"""How many messages may come, and from which queues: decided by the books, and told as one credit."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from celery_resources.gangs.gang import Gang
from celery_resources.intake import flow as flow_module
from celery_resources.intake.flow import Flow
from celery_resources.intake.subscriptions import Subscriptions
from celery_resources.need.requirement import Requirement
from celery_resources.node.standing import Standing
from tests.unit.celery_resources.plain import Request, plain_gate


class Told:
    """Subscriptions that write down what they are told."""

    active: tuple[str, ...] = ()
    postponed = 0.0
    decisions = 0
    quiet: frozenset[str] = frozenset()
    is_per_consumer = True

    def __init__(self, *_: Any) -> None:
        self.fitting: set[str] = set()
        self.room = self.credit = -1

    def choose(self, *, allowed: Any, fitting: set[str], idle: bool, rested: bool) -> None:
        self.decisions += 1
        fitting = fitting - self.quiet
        self.fitting, self.active = fitting, tuple(fitting)

    def apply(self, credit: int, room: int, *, now_consuming: bool) -> bool:
        self.credit, self.room = credit, room
        return False

    def quiet_until(self, queue: str) -> float:
        return math.inf if queue in self.quiet else 0.0


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


@pytest.fixture
def settled(gate: Any, celery_has: dict[str, Any]) -> Any:
    """A node of four cpus that serves a small kind and a big one, and the big one brings nothing."""
    queues = {"q": Requirement({"ncpus": 1}), "big": Requirement({"ncpus": 3})}
    for queue, requirement in queues.items():
        gate.kinds.learn(queue, requirement)
    gate.offers.queues = dict.fromkeys(queues)
    gate.served_anew()
    gate.subscriptions = gate.flow.subscriptions
    gate.subscriptions.is_stuck = gate.subscriptions.credit_was_moved = False
    gate.subscriptions.is_per_consumer, gate.subscriptions.quiet = False, frozenset({"big"})
    gate.flow.update()
    gate.subscriptions.decisions = 0
    return gate


def _run(gate: Any, celery_has: dict[str, Any], number: int) -> None:
    request = Request(f"t{number}")
    celery_has[request.id] = request
    gate.asked(request)


def test_nothing_is_decided_anew_for_tasks_that_start_and_end_where_they_leave_all_as_it_is(
    settled: Any, celery_has: dict[str, Any]
) -> None:
    for number in range(4):
        _run(settled, celery_has, number)
    for number in range(4, 20):
        # One ends and the next comes in one turn of the loop.
        del celery_has[f"t{number - 4}"]
        _run(settled, celery_has, number)
    for number in range(16, 20):
        del celery_has[f"t{number}"]
        settled._tick()
    assert not settled.books.running
    assert settled.subscriptions.decisions == 0


def test_the_tasks_of_one_kind_are_counted_as_they_begin_and_end(
    settled: Any, celery_has: dict[str, Any]
) -> None:
    for number in range(4):
        assert settled.flow.may_begin(settled.books.need_of_queue("q"))
        _run(settled, celery_has, number)
        assert settled.subscriptions.room == 3 - number
    assert not settled.flow.may_begin(settled.books.need_of_queue("q")), "it is full"
    del celery_has["t0"], celery_has["t1"]
    settled._tick()
    assert (settled.subscriptions.room, settled.subscriptions.decisions) == (2, 0)


@pytest.fixture
def mixed(settled: Any) -> Any:
    """The same node, which consumes both."""
    settled.subscriptions.quiet = frozenset()
    settled.flow.update()
    settled.subscriptions.decisions = 0
    return settled


def test_a_task_of_several_kinds_begins_at_once_and_what_it_leaves_is_decided(
    mixed: Any, celery_has: dict[str, Any]
) -> None:
    assert mixed.flow.may_begin(mixed.books.need_of_queue("big"))
    celery_has["large"] = large = Request("large", queue="big")
    mixed.asked(large)
    assert (mixed.subscriptions.decisions, mixed.subscriptions.fitting) == (1, {"q"})
    assert not mixed.flow.may_begin(mixed.books.need_of_queue("big"))
    assert mixed.flow.may_begin(mixed.books.need_of_queue("q"))


@pytest.mark.parametrize(
    "change",
    [
        lambda gate: setattr(gate, "closing", True),
        lambda gate: setattr(gate.standing, "now", Standing(fenced=True)),
        lambda gate: gate.unstarted.hold(Request("held"), gate.books.need_of_queue("q")),
        lambda gate: setattr(gate.reservation, "queue", "big"),
        lambda gate: gate.duty.lead(Gang(id="q/1", members=("w@n1",), queue="q")),
    ],
    ids=["closing", "fenced", "holds", "keeps room", "in a gang"],
)
def test_nothing_begins_without_a_look_where_more_than_room_counts(
    mixed: Any, change: Callable[[Any], object]
) -> None:
    need = mixed.books.need_of_queue("q")
    assert mixed.flow.may_begin(need)
    change(mixed)
    assert not mixed.flow.may_begin(need)


def test_what_comes_from_no_queue_that_is_consumed_is_looked_at(settled: Any) -> None:
    assert not settled.flow.may_begin(settled.books.need_of_queue("big"))


def test_a_pool_that_has_shrunk_is_looked_at_with_every_task(
    settled: Any, celery_has: dict[str, Any]
) -> None:
    for number in range(3):
        _run(settled, celery_has, number)
    settled.ledger.slots = 2
    # A full node goes on to consume: no credit is enough.
    settled.subscriptions.choose = lambda **_: None
    settled.flow.update()
    del celery_has["t0"]
    settled._tick()
    assert settled.subscriptions.room == 0


def test_what_was_left_is_looked_at_as_soon_as_it_fits_again(
    settled: Any, celery_has: dict[str, Any]
) -> None:
    for number in range(3):
        _run(settled, celery_has, number)
    settled.subscriptions.quiet = frozenset()
    settled.flow.update()
    settled.subscriptions.decisions = 0
    del celery_has["t0"]
    settled._tick()
    assert settled.subscriptions.decisions == 0, "two cpus are free"
    del celery_has["t1"]
    settled._tick()
    assert settled.subscriptions.decisions == 1
    assert settled.subscriptions.fitting == {"q", "big"}


def test_a_big_task_that_leaves_room_for_small_ones_only_is_no_reason_to_leave_those(
    settled: Any, celery_has: dict[str, Any]
) -> None:
    settled.subscriptions.quiet = frozenset()
    settled.flow.update()
    assert settled.subscriptions.fitting == {"q", "big"}
    celery_has["large"] = large = Request("large", queue="big")
    settled.asked(large)
    assert (settled.subscriptions.fitting, settled.subscriptions.room) == ({"q"}, 1)


def test_what_was_put_off_is_looked_at_when_it_is_due_or_when_the_node_rests(
    settled: Any, celery_has: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(flow_module.time, "monotonic", lambda: clock[0])
    later: list[Any] = []
    settled.consumer.hub = SimpleNamespace(call_later=lambda seconds, look: later.append(look))
    settled.subscriptions.postponed = 1.0
    settled.flow.update()
    _run(settled, celery_has, 0)
    settled.subscriptions.decisions = 0
    later.pop()()
    assert (settled.subscriptions.decisions, len(later)) == (0, 1), "it works, and it is too early"
    clock[0] += 1.0
    later.pop()()
    assert (settled.subscriptions.decisions, len(later)) == (1, 1)
    del celery_has["t0"]
    settled._tick()
    settled.subscriptions.decisions = 0
    later.pop()()
    assert (settled.subscriptions.decisions, len(later)) == (1, 1), "nothing was begun since the look before"


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
