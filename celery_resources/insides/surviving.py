"""What a child of the prefork pool was given is in the pool's books until it ends, lost connection or not.

When the connection to the broker is lost, Celery empties its pool (`AsynPool.flush`), because what had not
begun is delivered again. It throws away more than that:

- until 5.5 all jobs, those that its children run as well: their ends are then told to nobody, and Celery
  itself shows them as active for ever;
- until 5.6 which children are busy: what comes later may be written to a child that runs a long task, and
  waits behind that one however many others are idle;
- up to 5.7 the jobs that a child was given and has not yet said that it begins: it runs them all the same.

And until 5.6 it goes on listing requests of which nothing is left. So here the pool is emptied of what no
child was given, and so is the list. Drop this when `flush` itself does so.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from celery.concurrency.asynpool import AsynPool
from celery.utils.log import get_logger
from celery.worker import state as worker_state

from celery_resources.insides.requests import job_of

logger = get_logger(__name__)

RELIES_ON = ("_busy_workers", "_cache")
"""Of the pool; nothing public says which jobs a child was given."""


def keep_what_children_were_given(pool: Any) -> None:
    """Let this worker's pool keep it through every lost connection. Other kinds of pool lose nothing."""
    # A pool that is started again has a method of its own again.
    if getattr(pool.flush, "__func__", None) is not AsynPool.flush:
        return
    if missing := [name for name in RELIES_ON if not hasattr(pool.flush.__self__, name)]:
        logger.warning(
            "the pool of this Celery has no %s: what runs when the connection breaks is lost from sight",
            ", ".join(missing),
        )
        return
    pool.flush = partial(_flush, pool.flush.__self__)


def _flush(pool: Any) -> None:
    given = [job for job in pool._cache.values() if job._write_to is not None]
    # The handlers of the event loop keep to this set; the method may clear another one.
    busy, pool._busy_workers = pool._busy_workers, set()
    try:
        pool.flush()
    finally:
        pool._busy_workers = busy
        # Of a child that was found dead meanwhile, they may have ended.
        given = [job for job in given if not job.ready()]
        pool._cache.update({job._job: job for job in given})
        # Only ever fewer: the number of a dead child's pipe may be a new child's.
        busy.intersection_update(job._write_to.inqW_fd for job in given)
        for request in tuple(worker_state.requests.values()):
            if request not in worker_state.active_requests and not _is_in_pool(request):
                worker_state.requests.pop(request.id)


def _is_in_pool(request: Any) -> bool:
    return job_of(request) is not None
