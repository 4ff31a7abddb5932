"""Giving a message back to its queue, to the place it came from."""

from __future__ import annotations

from typing import Any

from celery.worker.state import task_ready
from kombu.transport.virtual import QoS as VirtualQoS


def give_back(request: Any, *, to_the_end: bool = False) -> None:
    """Return a message that has not been started; somebody else may have it.

    RabbitMQ puts it where it was. Redis would put it behind everything that waits, so there it is pushed to
    the end that is served next, unless `to_the_end` (nobody here can ever run it).
    """
    qos: Any = getattr(request.message.channel, "qos", None)
    if not request.acknowledged:
        if not to_the_end and hasattr(qos, "restore_by_tag"):
            qos.restore_by_tag(request.message.delivery_tag, leftmost=False)
            # Redis has forgotten it; now the channel's own list must, or it would be restored once more.
            VirtualQoS.ack(qos, request.message.delivery_tag)
            request.message._state = "REQUEUED"
            request.acknowledged = True
            request.send_event("task-rejected", requeue=True)
        else:
            request.reject(requeue=True)
    task_ready(request)
