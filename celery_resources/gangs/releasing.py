"""The end of a gang: its task failed from outside, its members set free."""

from __future__ import annotations

import signal
from typing import Any

from celery.utils.log import get_logger
from kombu.exceptions import OperationalError

from celery_resources.errors import ResourceError
from celery_resources.gangs.gang import Gang
from celery_resources.insides.requests import context_of, job_of, tell_no_end, was_revoked
from celery_resources.sending.notes import HURRIED, send_note

logger = get_logger(__name__)


class GangMemberLost(ResourceError):
    """A node of the gang that ran the task is gone."""


def release_members(app: Any, gang: Gang, control_queue: str | None) -> None:
    """Tell the other members that the gang's task has ended, and the control side as well.

    The control side is told so that it can release a member that did not hear it.
    """
    try:
        # Broadcasting, over a connection that was good once, tries for ever: and we are the event loop.
        with app.connection_for_write() as connection:
            connection.ensure_connection(**HURRIED)
        app.control.broadcast(
            "disband", arguments={"gang": gang.id}, destination=list(gang.members[1:]), reply=False
        )
        if control_queue is not None:
            send_note(app, control_queue, kind="gang-ended", gang=gang.id, members=list(gang.members))
    except (OperationalError, *app.connection_for_write().connection_errors) as error:
        logger.error("gang %s has ended, and its members could not be told: %s", gang.id, error)


def tell_head(app: Any, gang: Gang, member: str) -> None:
    """Tell the head of the gang that this member of it is empty now. The control side sees it as well."""
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(**HURRIED)
        app.control.broadcast(
            "ready",
            arguments={"gang": gang.id, "members": [member]},
            destination=[gang.members[0]],
            reply=False,
        )
    except (OperationalError, *app.connection_for_write().connection_errors) as error:
        logger.error("the head of gang %s could not be told that %s is empty: %s", gang.id, member, error)


def fail_running(request: Any, pool: Any, why: str) -> None:
    """Let a running task fail with GangMemberLost, now."""
    # The control side says so in every pass for as long as the task has not ended: a thread runs on, and a
    # child may take its time. Once is enough, or errbacks and a chord would be told of each.
    if not was_revoked(request):
        request.task.backend.mark_as_failure(
            request.id, GangMemberLost(why), request=context_of(request), store_result=request.store_errors
        )
        request.acknowledge()
        # The child's death is no news then.
        tell_no_end(request)
    if request.worker_pid is None:
        return
    try:
        pool.terminate_job(request.worker_pid, signal.SIGTERM)
    except NotImplementedError:  # how a pool without processes (threads) says that it can send no signal
        logger.error("task %s has failed (%s) and runs on: this pool cannot end a task", request.id, why)
        return
    job = job_of(request)
    if job is not None:
        job.terminate(signal.SIGTERM)
