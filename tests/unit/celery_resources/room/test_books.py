"""What runs on a node by Celery's books and the pool's, and what its end gives back."""

from __future__ import annotations

from typing import Any

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
    assert gate.books.need_of_queue("q").amounts == {"ncpus": 2_000_000}


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
