"""What is sent for later waits in RabbitMQ itself where queues are quorum queues, and arrives."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from celery import Celery

from celery_resources import with_resources
from celery_resources.sending.depth import messages_waiting

TOPIC = {
    "task_default_queue_type": "quorum",
    "task_default_exchange_type": "topic",
    "task_create_missing_queue_type": "quorum",
    "task_create_missing_queue_exchange_type": "topic",
}


def test_a_task_of_a_new_kind_arrives_in_its_queue_in_time_though_no_worker_was_ever_there(
    amqp_url: str, wait_until: Callable[..., Any]
) -> None:
    app = with_resources(Celery(f"delayed-{uuid.uuid4()}", broker=amqp_url, set_as_current=False))
    app.conf.update(TOPIC)
    need = {"constraints": {"ncpus": 2}}
    with app:
        app.send_task("later", countdown=1, ignore_result=True, **need)
        queue = "res:ncpus=2"
        wait_until(lambda: messages_waiting(app, [queue])[queue] == 1, seconds=20, what="it arrives")
        app.send_task("later", countdown=1, ignore_result=True, **need)
        wait_until(lambda: messages_waiting(app, [queue])[queue] == 2, seconds=20, what="so does the next")
