"""Messages that were taken and not acknowledged: listed, told apart, and given back in one step."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from kombu import Exchange, Queue

from autoscaler_app.brokers import open_broker

MakeApp = Callable[..., Celery]


@pytest.fixture(params=["redis_url", "valkey_url"])
def app(request: pytest.FixtureRequest, make_app: MakeApp) -> Celery:
    """A producer's app on Redis, and on Valkey."""
    return make_app(request.getfixturevalue(request.param))


@pytest.fixture
def channel(app: Celery) -> Iterator[Any]:
    """Where messages are taken, as by a worker."""
    connection = app.connection_for_read()
    yield connection.default_channel
    connection.close()


def take(app: Celery, channel: Any, queue: str) -> Any:
    message = app.amqp.queues[queue](channel).get()
    assert message is not None
    return message


def send(app: Celery, queue: str, **options: Any) -> str:
    return str(app.send_task("work", queue=queue, **options).id)


def lists(app: Celery, queue: str) -> dict[str, list[dict[str, Any]]]:
    """The messages of each list of a queue, next first."""
    with app.connection_for_read() as connection:
        client = connection.default_channel.client
        return {
            key.decode(): [json.loads(each) for each in client.lrange(key, 0, -1)[::-1]]
            for key in sorted(client.keys(f"{queue}*"))
        }


def test_each_taken_message_has_a_tag_and_each_tag_a_task(app: Celery, channel: Any) -> None:
    ids = {send(app, "work") for _ in range(3)}
    messages = [take(app, channel, "work") for _ in range(3)]
    broker = open_broker(app)

    tags = broker.unacked_tags()

    assert tags == {message.delivery_tag for message in messages}
    assert set(broker.task_ids(tags).values()) == ids
    assert broker.task_ids(["never-seen"]) == {}
    messages[0].ack()
    assert broker.unacked_tags() == {message.delivery_tag for message in messages[1:]}


def test_a_message_that_is_given_back_is_next_in_line_with_its_priority(app: Celery, channel: Any) -> None:
    lost = send(app, "work", priority=6)
    message = take(app, channel, "work")
    send(app, "work", priority=6)
    broker = open_broker(app)

    assert broker.give_back([message.delivery_tag]) == 1

    ((name, waiting),) = lists(app, "work").items()
    assert name.endswith("6")
    assert waiting[0]["headers"]["id"] == lost
    assert waiting[0]["headers"]["redelivered"] is True
    assert waiting[0]["properties"]["delivery_info"]["redelivered"] is True
    assert (broker.unacked(), len(waiting)) == (0, 2)
    assert channel.client.zcard("unacked_index") == 0
    assert take(app, channel, "work").headers["id"] == lost


def test_what_was_acknowledged_or_given_back_meanwhile_is_not_given_back_once_more(
    app: Celery, channel: Any
) -> None:
    for _ in range(2):
        send(app, "work")
    acked, twice = take(app, channel, "work"), take(app, channel, "work")
    broker = open_broker(app)
    acked.ack()

    assert broker.give_back([acked.delivery_tag, twice.delivery_tag]) == 1
    assert broker.give_back([acked.delivery_tag, twice.delivery_tag]) == 0
    assert broker.depths(["work"])["work"].waiting == 1


def test_a_late_acknowledgement_of_what_was_given_back_takes_nothing_away(app: Celery, channel: Any) -> None:
    """Its worker turns up after all: the task runs twice, and is never lost."""
    send(app, "work")
    message = take(app, channel, "work")
    broker = open_broker(app)
    broker.give_back([message.delivery_tag])

    message.ack()

    assert broker.depths(["work"])["work"].waiting == 1


def test_a_message_without_a_queue_to_go_to_is_left_where_it_is(
    app: Celery, channel: Any, caplog: pytest.LogCaptureFixture
) -> None:
    app.conf.task_queues = [Queue("unbound", Exchange("loose", type="topic"), routing_key="map.#")]
    send(app, "unbound", routing_key="map.here")
    message = take(app, channel, "unbound")
    channel.client.delete("_kombu.binding.loose", "_kombu.binding_permanent.loose")
    broker = open_broker(app)

    assert broker.give_back([message.delivery_tag]) == 0

    assert broker.unacked_tags() == {message.delivery_tag}
    assert "0 queues are bound for loose" in caplog.text


def test_who_waits_for_messages_is_counted_and_who_asks_is_not(
    lone_url: str, make_app: MakeApp, wait_until: Callable[..., object]
) -> None:
    app = make_app(lone_url)
    broker = open_broker(app)
    assert broker.consumers().count == 0
    send(app, "work")
    with app.connection_for_read() as one, app.connection_for_read() as other:
        got: list[Any] = []
        for connection in (one, other):
            queue = app.amqp.queues["work"](connection.default_channel)
            queue.consume(callback=got.append)
            while True:
                try:
                    connection.drain_events(timeout=0.1)
                except TimeoutError:
                    break
        assert broker.consumers().count == 2
    wait_until(lambda: broker.consumers().count == 0)


def test_rabbitmq_looks_after_its_messages_itself(amqp_url: str, make_app: MakeApp) -> None:
    app = make_app(amqp_url)
    send(app, "work")
    with app.connection_for_read() as connection:
        take(app, connection.default_channel, "work")
        broker = open_broker(app)
        assert (broker.unacked_tags(), broker.give_back(["1"])) == (frozenset(), 0)
