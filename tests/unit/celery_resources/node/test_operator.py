"""What an operator says by Celery's own commands, and what the control side says: both hold."""

from __future__ import annotations

from typing import Any

from celery import Celery
from kombu import Queue

from celery_resources.need.requirement import Requirement
from tests.unit.celery_resources.plain import plain_gate


def queues_of(gate: Any) -> Any:
    """The gate's consumer, with the queues of a real app."""
    with Celery(broker="memory://", set_as_current=False) as app:
        gate.consumer.app = app
        gate.operator.listen()
        return app.amqp.queues


def test_a_queue_that_an_operator_cancels_stays_so_whoever_says_join() -> None:
    gate = plain_gate([])
    queues_of(gate)
    gate.standing.change(joined={"q": Requirement(), "other": Requirement()})
    gate.consumer.cancel_task_queue("q")
    assert list(gate.serves) == ["other"]
    gate.join({"q": Requirement({"ncpus": 1})})
    assert list(gate.serves) == []
    gate.consumer.add_task_queue("q")
    assert list(gate.serves) == ["q"]


def test_a_queue_that_an_operator_adds_is_served_beside_what_was_joined_and_a_fence_holds_over_it() -> None:
    gate = plain_gate([])
    queues = queues_of(gate)
    gate.standing.change(joined={"q": Requirement()})
    gate.consumer.add_task_queue("extra", exchange="ex", exchange_type="topic", routing_key="a.#")
    assert list(gate.serves) == ["q", "extra"]
    assert (queues["extra"].exchange.name, queues["extra"].routing_key) == ("ex", "a.#")
    gate.join({})
    assert list(gate.serves) == ["extra"]
    gate.fence("surplus")
    assert gate.takes_nothing
    gate.consumer.cancel_task_queue("extra")
    assert list(gate.serves) == []


def test_a_derived_queue_that_an_operator_adds_is_the_one_that_its_senders_make() -> None:
    """Of another type, or with another exchange, RabbitMQ would refuse it."""
    gate = plain_gate([], ncpus=4)
    queues_of(gate)
    gate.consumer.app.conf.update(
        task_default_exchange_type="topic",
        task_create_missing_queue_type="quorum",
        task_create_missing_queue_exchange_type="topic",
    )
    gate.consumer.app.__dict__.pop("amqp", None)
    queues = gate.consumer.app.amqp.queues
    gate.consumer.add_task_queue("res:ncpus=4")
    made, sent = queues["res:ncpus=4"], queues.new_missing("res:ncpus=4")
    assert (made.exchange, made.queue_arguments) == (sent.exchange, sent.queue_arguments)
    assert list(gate.serves) == ["q", "res:ncpus=4"]


def test_a_cancelled_queue_may_be_called_by_its_alias() -> None:
    gate = plain_gate([])
    queues_of(gate).add(Queue("q", alias="short"))
    gate.consumer.cancel_task_queue("short")
    assert list(gate.serves) == []
