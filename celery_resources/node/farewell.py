"""The note that a node's worker sends as its very last act, if it left nothing behind: the proof of a drain.

A message can sit where no counter shows it (popped from Redis, still in a socket). Only a clean end of the
consumer brings it back, so the note goes out after that, over a connection of its own.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from celery.utils.log import get_logger
from kombu.exceptions import OperationalError

from celery_resources.insides.requests import is_terminated
from celery_resources.room.machine import short_host
from celery_resources.sending.notes import PATIENT, send_note

logger = get_logger(__name__)


def say_farewell(sender: Any = None, **kwargs: Any) -> None:
    """Handler of `worker_shutdown`, which Celery sends after a warm shutdown and only then."""
    gate = getattr(getattr(sender, "consumer", None), "resource_gate", None)
    if gate is None or gate.settings.control_queue is None:
        return
    why_not = _left_behind(sender, gate)
    if why_not:
        logger.warning("no farewell to the control side: %s", why_not)
        return
    facts: dict[str, Any] = {
        "kind": "left",
        "hostname": short_host(sender.hostname),
        "nodename": sender.hostname,
        "pid": os.getpid(),
        "started": gate.telling.started,
        "at": datetime.now(UTC).isoformat(),
        "returned": gate.unstarted.returned,
    }
    if gate.sealing is not None:
        facts = gate.sealing.farewell(facts)
    try:
        send_note(sender.app, gate.settings.control_queue, policy=PATIENT, **facts)
    except OperationalError as error:
        logger.error("no farewell to the control side: the broker cannot be reached: %s", error)


def _left_behind(worker: Any, gate: Any) -> str:
    """Why this end proves nothing; empty if it was clean."""
    if is_terminated():
        return "the worker was terminated"
    if worker.exitcode not in (None, 0):
        return f"the worker ends with exit code {worker.exitcode}"
    if not gate.closed_connected:
        return "the connection to the broker was lost before the consumer was closed"
    gate.books.reap()
    unfinished = [request.id for request in gate.books.running]
    return f"tasks did not end: {', '.join(unfinished)}" if unfinished else ""
