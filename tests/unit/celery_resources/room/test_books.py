"""What runs on a node by Celery's books and the pool's, and what its end gives back."""

from __future__ import annotations

from typing import Any

import pytest
from celery.worker import state as worker_state

from celery_resources.need.requirement import Requirement
from celery_resources.room.ledger import Ledger
from tests.unit.celery_resources.plain import Request, plain_gate


class Job:
    """What the pool has of a request."""

    def __init__(self) -> None:
        self.has_ended = False

    def ready(self) -> bool:
        return self.has_ended


def test_a_task_whose_child_lives_runs_though_celery_has_struck_it_off(celery_has: dict[str, Any]) -> None:
    gate, request, job = plain_gate([]), Request("task"), Job()
    request._apply_result = lambda: job
    gate.asked(request)
    assert gate.books.reap() == []
    job.has_ended = True
    assert gate.books.reap() == [request]


@pytest.mark.parametrize("books", ["reserved_requests", "active_requests"])
def test_what_another_of_its_id_was_struck_off_with_runs_on(celery_has: dict[str, Any], books: str) -> None:
    gate, request = plain_gate([]), Request("same")
    gate.asked(request)
    getattr(worker_state, books).add(request)
    assert gate.books.reap() == []
    getattr(worker_state, books).discard(request)
    assert gate.books.reap() == [request]


def test_a_child_that_lives_is_looked_after_though_a_message_of_the_same_id_is_here(
    celery_has: dict[str, Any],
) -> None:
    gate, run, job = plain_gate([], ncpus=4), Request("same"), Job()
    run._apply_result = lambda: job
    celery_has["same"] = run
    gate.asked(run)
    celery_has["same"] = again = Request("same")
    gate.postponed(again)
    gate._tick()
    assert list(gate.books.running) == [run]
    job.has_ended = True
    gate._tick()
    assert list(gate.books.running) == []


def test_only_messages_that_the_broker_still_counts_as_ours_are_unacknowledged(
    celery_has: dict[str, Any],
) -> None:
    gate = plain_gate([], ncpus=2)
    early, late = Request("early"), Request("late")
    for request in (early, late):
        celery_has[request.id] = request
        gate.asked(request)
    early.acknowledged = True
    assert gate.books.unacknowledged() == 1


def test_whose_messages_outlive_a_connection(celery_has: dict[str, Any]) -> None:
    """Of what runs, and of what was settled as it ended; not of what Celery ends because of the loss."""
    gate = plain_gate([], ncpus=5)
    requests = {name: Request(name) for name in ("runs", "settled", "lost", "cancelled")}
    for request in requests.values():
        celery_has[request.id] = request
        gate.asked(request)
    requests["settled"].acknowledged = requests["cancelled"]._already_cancelled = True
    del celery_has["settled"], celery_has["lost"]
    assert gate.books.tags() == {"runs", "settled"}


def test_the_gpus_of_a_task_that_has_ended_are_free_for_the_next() -> None:
    ledger = Ledger({"ncpus": 4, "ngpus": 1}, 4)
    need = ledger.need(Requirement(constraints={"ngpus": 1}))
    ledger.start("a", need)
    ledger.start("b", ledger.need(Requirement(constraints={"ncpus": 1})))
    assert not ledger.fits_now(need)
    ledger.end("a")
    assert ledger.fits_now(need)


def test_it_is_never_said_that_a_gpu_is_refilled_for_which_ones_are_left_is_not_known() -> None:
    ledger = Ledger({"ncpus": 4, "ngpus": 2}, 4)
    whole = ledger.need(Requirement(constraints={"ngpus": 1}))
    ledger.start("a", ledger.need(Requirement(constraints={"ngpus": 1, "ncpus": 1})))
    assert not ledger.is_refilled_by([whole])


def test_what_is_learnt_of_a_queue_holds_for_what_comes_next_from_it() -> None:
    gate = plain_gate([], ncpus=4)
    assert gate.books.need_of_queue("q").amounts == {"ncpus": 1_000_000}
    gate.kinds.learn("q", Requirement({"ncpus": 2}))
    assert gate.books.need_of(Request("t"), "q").amounts == {"ncpus": 2_000_000}
    assert gate.books.need_of_queue("q").amounts == {"ncpus": 2_000_000}


def test_of_two_messages_in_one_queue_each_is_counted_by_what_it_says_itself() -> None:
    books = plain_gate([], ncpus=4).books
    for cpus in (1, 3, 1):
        request = Request("t", constraints={"ncpus": cpus})
        assert books.need_of(request, "q").amounts == {"ncpus": cpus * 1_000_000}


def test_a_task_finds_in_its_request_what_its_message_says(celery_has: dict[str, Any]) -> None:
    gate = plain_gate([], ncpus=4)
    for request, finds in (
        (Request("a", constraints={"ncpus": 1}), {"constraints": {"ncpus": 1}}),
        (Request("b"), None),
    ):
        celery_has[request.id] = request
        gate.asked(request)
        assert request.request_dict.get("resources") == finds


def test_who_sends_without_the_package_is_counted_by_the_queue_and_else_as_one_cpu() -> None:
    gate = plain_gate([], ncpus=4)
    gate.kinds.learn("declared", Requirement({"ncpus": 3}))
    amounts = {queue: gate.books.need_of(Request("t", queue=queue), queue).amounts for queue in QUEUES}
    assert amounts == {queue: {"ncpus": cpus * 1_000_000} for queue, cpus in QUEUES.items()}


QUEUES = {"plain": 1, "declared": 3, "res:ncpus=4": 4, "res:ncpus=2@special": 2}


def test_what_came_through_an_exchange_is_counted_and_told_by_the_queue_that_it_was_taken_from(
    celery_has: dict[str, Any],
) -> None:
    gate, request = plain_gate([], ncpus=4), Request("task", queue="map.here")
    request.message.delivery_info = {"exchange": "map", "routing_key": "map.here", "queue": "res:ncpus=4"}
    celery_has["task"] = request
    gate.asked(request)
    (told,) = gate.books.told()
    assert told["queue"] == "res:ncpus=4"
    assert gate.ledger.running[request].amounts == {"ncpus": 4_000_000}
