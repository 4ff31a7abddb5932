"""Giving a message back to its queue, to the place it came from."""

from __future__ import annotations

from typing import Any

from celery_resources.insides.messages import put_in_front
from celery_resources.insides.requests import strike_off


def give_back(request: Any, *, to_the_end: bool = False) -> None:
    """Return a message that has not been started; somebody else may have it.

    RabbitMQ puts it where it was. Redis would put it behind everything that waits, so there it is pushed to
    the end that is served next, unless `to_the_end` (nobody here can ever run it).
    """
    if not request.acknowledged:
        if not to_the_end and put_in_front(request.message):
            request.acknowledged = True
            request.send_event("task-rejected", requeue=True)
        else:
            request.reject(requeue=True)
    strike_off(request)
