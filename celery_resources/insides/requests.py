"""What Celery's worker keeps with a request, and in its own books of requests.

Each function is one reach into what Celery does not promise. `tests/unit/celery_resources/insides` says of
each name where it has to be, so that a release that moves one is a red test and not a dead worker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from celery.worker import state as worker_state


def job_of(request: Any) -> Any | None:
    """What the pool has of a request that was given to it; None before, and when the pool has forgotten it.

    Celery keeps a weak reference: no public name leads from a request to its job.
    """
    reference = request._apply_result
    return reference() if reference is not None else None


def knows_all(ids: Mapping[str, object]) -> bool:
    """Does Celery have requests of all these ids? Asked on every turn of the loop: nearly always it has, and
    this is the quickest way to see it.
    """
    return ids.keys() <= worker_state.requests.keys()


def not_known(requests: Iterable[Any]) -> list[Any]:
    """Those that Celery does not have among all that it knows."""
    known, found = worker_state.requests, []
    # Not a comprehension, which is a call by itself: this is for every task that ends.
    for request in requests:
        if known.get(request.id) is not request:
            found.append(request)
    return found


def has_ended(request: Any) -> bool:
    """Has the run of a request that was given to the pool come to its end?

    Celery strikes a task that it terminates off before the child is dead, and forgets one that was given to a
    child when the connection broke: the pool's own job tells. If that has none, it may be that something else
    of the same id was struck off: then it is looked up by itself, among those known, reserved and active.
    (`inspect` asks the same sets, but only by a message, and by id: another request may have the same.)
    """
    reference = request._apply_result
    job = reference() if reference is not None else None
    if job is None or not hasattr(job, "ready"):
        return not (
            worker_state.requests.get(request.id) is request
            or request in worker_state.active_requests
            or request in worker_state.reserved_requests
        )
    return bool(job.ready())


def strike_off(request: Any) -> None:
    """Celery's books are to forget a request that is over. Nothing public does it without running it."""
    worker_state.task_ready(request)


def strike_off_those_of(message: Any) -> None:
    """The same for whatever was made of this message."""
    for request in {*worker_state.requests.values(), *worker_state.reserved_requests}:
        if request.message is message:
            strike_off(request)


def is_terminated() -> bool:
    """The worker was told to end at once, which is no warm shutdown."""
    return worker_state.should_terminate not in (None, False)


def is_revoked(request: Any) -> bool:
    """Somebody revoked it. Settles the message, if so."""
    # Asked of the set first: `revoked()` costs more, and this is asked of every held request in turn.
    return request.id in worker_state.revoked and bool(request.revoked())


def context_of(request: Any) -> Any:
    """The context that a result backend wants beside a failure; the public one needs a task that runs."""
    return request._context


def was_revoked(request: Any) -> bool:
    """Celery has told of its end already."""
    return bool(request._already_revoked)


def was_cancelled(request: Any) -> bool:
    """Celery is ending it, because it lost its connection (`worker_cancel_long_running_tasks_…`)."""
    return bool(request._already_cancelled)


def tell_no_end(request: Any) -> None:
    """Its end was told: neither a lost worker nor a revoke is news of it any more."""
    request._already_revoked = True


def cancel_timer(consumer: Any, request: Any) -> None:
    """Take back the timer of a request that waits for its time, where there is a way to it: since 5.7.

    Elsewhere it fires, and finds the request given back.
    """
    entry = getattr(request, "_eta_timer_entry", None)
    if entry is not None:
        consumer.timer.cancel(entry)


def tell_of_postponed(consumer: Any, postponed: Callable[[Any], None]) -> None:
    """From now on, in this worker, of the requests that are to wait for their time or their rate alone.

    Celery's signal `task_received` tells of all, and to send it costs more than anything else that a node
    does for a task. A strategy takes what is replaced here when the consumer starts, after the steps were
    made.
    """
    timer, limit, call_at = consumer.timer, consumer._limit_task, consumer.timer.call_at
    in_time = (consumer.apply_eta_task, consumer._limit_post_eta)

    def _limit_task(request: Any, *args: Any) -> Any:
        postponed(request)
        return limit(request, *args)

    def _call_at(eta: float, fun: Any, args: Any = (), *others: Any, **options: Any) -> Any:
        if fun in in_time:
            postponed(args[0])
        return call_at(eta, fun, args, *others, **options)

    consumer._limit_task, timer.call_at = _limit_task, _call_at
