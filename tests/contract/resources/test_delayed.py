"""What is sent for later waits in RabbitMQ itself in quorum queues. It arrives, and it is foreseen."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from celery import Celery

from autoscaler_app.listening.activity import Activity
from autoscaler_app.listening.activity.coming import THE_BROKER
from celery_resources import with_resources
from celery_resources.sending.depth import messages_waiting

TOPIC = {
    "task_default_queue_type": "quorum",
    "task_default_exchange_type": "topic",
    "task_create_missing_queue_type": "quorum",
    "task_create_missing_queue_exchange_type": "topic",
}
NEED = {"constraints": {"ncpus": 2}}
QUEUE = "res:ncpus=2"


@pytest.fixture
def app(amqp_url: str) -> Iterator[Any]:
    """An app of quorum queues and topic exchanges."""
    made = with_resources(Celery(f"delayed-{uuid.uuid4()}", broker=amqp_url, set_as_current=False))
    made.conf.update(TOPIC)
    with made:
        yield made


def test_a_task_of_a_new_kind_arrives_in_its_queue_in_time_though_no_worker_was_ever_there(
    app: Any, wait_until: Callable[..., Any]
) -> None:
    app.send_task("later", countdown=1, ignore_result=True, **NEED)
    wait_until(lambda: messages_waiting(app, [QUEUE])[QUEUE] == 1, seconds=20, what="it arrives")
    app.send_task("later", countdown=1, ignore_result=True, **NEED)
    wait_until(lambda: messages_waiting(app, [QUEUE])[QUEUE] == 2, seconds=20, what="so does the next")


@pytest.mark.parametrize("protocol", [1, 2])
def test_where_there_is_a_control_side_it_is_told_of_what_waits_in_the_broker(
    app: Any, protocol: int
) -> None:
    app.conf.update(resource_control_queue="autoscale", task_protocol=protocol)
    if app.amqp.queues[QUEUE].exchange.type == "direct":
        pytest.skip("before Celery 5.6 a new queue has a direct exchange: there a worker waits for the time")
    told: list[Any] = []
    with app.connection_for_read() as connection:
        ear = app.events.Receiver(connection, handlers={"task-sent": told.append})
        with ear.consumer_context(wakeup=False) as (heard, _, _):
            app.send_task("at-once", ignore_result=True, **NEED)
            sent = app.send_task("later", countdown=3600, ignore_result=True, **NEED)
            while not told:
                heard.drain_events(timeout=10)
    activity, now = Activity(), datetime.now(UTC)
    for event in told:
        activity.apply(event, now)
    (coming,) = activity.coming()
    assert (coming.id, coming.name, coming.queue) == (sent.id, "later", QUEUE)
    assert coming.held_by == THE_BROKER
    assert 3500 < (coming.at - now).total_seconds() <= 3600
    assert [event["uuid"] for event in told] == [sent.id], (
        "what runs at once is told of where Celery is set so"
    )
