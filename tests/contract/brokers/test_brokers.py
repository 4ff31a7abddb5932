"""What every broker adapter owes, on each kind of broker."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from kombu import Exchange, Queue

from autoscaler_app.brokers import (
    SENT_AT,
    BrokerRefused,
    BrokerUnreachable,
    BrokerUnsupported,
    Depth,
    open_broker,
)
from tests.durable import DurableBroker

MakeApp = Callable[..., Celery]
REDIS_ALONE = pytest.mark.parametrize("url", ["redis", "valkey"], indirect=True)
"""RabbitMQ gives back by itself what a closed connection had: there is nothing of ours to try."""


def send(app: Celery, queue: str, count: int = 1, **options: Any) -> list[str]:
    return [app.send_task("work", queue=queue, **options).id for _ in range(count)]


@pytest.fixture
def take(app: Celery) -> Iterator[Callable[..., list[Any]]]:
    """Receive messages and do not acknowledge them, as a worker that runs a task does."""
    connections = []

    def take(queue: str, count: int) -> list[Any]:
        connection = app.connection_for_read()
        connections.append(connection)
        channel = connection.default_channel
        messages = [app.amqp.queues[queue](channel).get() for _ in range(count)]
        assert all(messages)
        return messages

    yield take
    for connection in connections:
        connection.close()


def test_a_queue_that_does_not_exist_or_is_empty_has_nothing_waiting(app: Celery) -> None:
    send(app, "drained")
    with app.connection_for_read() as connection:
        app.amqp.queues["drained"](connection.default_channel).purge()

    depths = open_broker(app).depths(["never-declared", "drained", "nor-this"])

    assert {name: depth.waiting for name, depth in depths.items()} == {
        "never-declared": 0,
        "drained": 0,
        "nor-this": 0,
    }


def test_each_queue_is_counted_on_its_own_and_a_missing_one_hides_none(app: Celery) -> None:
    send(app, "one", 3)
    send(app, "other", 5)

    depths = open_broker(app).depths(["missing", "one", "gone", "other"])

    assert [depths[name].waiting for name in ("missing", "one", "gone", "other")] == [0, 3, 0, 5]


def test_no_queues_is_no_question(app: Celery) -> None:
    assert open_broker(app).depths([]) == {}


def test_more_queues_than_one_round_trip_takes(app: Celery) -> None:
    send(app, "q450", 2)

    depths = open_broker(app, timeout=30).depths([f"q{number}" for number in range(451)])

    assert len(depths) == 451
    assert sum(depth.waiting for depth in depths.values()) == 2


def test_every_priority_counts(app: Celery, url: str, make_app: MakeApp) -> None:
    app.conf.task_queues = [Queue("urgent", queue_arguments={"x-max-priority": 10})]
    for priority in (0, 3, 5, 9):
        send(app, "urgent", 2, priority=priority)

    assert open_broker(make_app(url)).depths(["urgent"])["urgent"].waiting == 8


def test_what_a_worker_holds_is_not_waiting(app: Celery, take: Callable[..., list[Any]]) -> None:
    send(app, "held", 5)
    take("held", 2)

    assert open_broker(app).depths(["held"])["held"].waiting == 3


def test_the_age_is_that_of_the_next_in_line_where_the_broker_lets_us_look(app: Celery, url: str) -> None:
    now = time.time()
    send(app, "aged", headers={SENT_AT: now - 90})
    send(app, "aged", headers={SENT_AT: now - 30})
    send(app, "unstamped")
    send(app, "from-the-future", headers={SENT_AT: now + 900})
    nonsense = {"huge": 1e300, "hugest": 10**400, "negative": -1e300, "nan": float("nan"), "text": "1"}
    for queue, sent_at in nonsense.items():
        send(app, queue, headers={SENT_AT: sent_at if url.startswith("redis") else 0})

    depths = open_broker(app).depths(["aged", "unstamped", "from-the-future", "missing", *nonsense])

    assert {depths[queue].oldest for queue in nonsense} == {None}
    assert depths["unstamped"].oldest is None
    assert depths["missing"].oldest is None
    if url.startswith("amqp"):
        assert depths["aged"] == Depth(waiting=2, oldest=None)
    else:
        assert depths["aged"].oldest is not None
        assert timedelta(seconds=90) <= depths["aged"].oldest < timedelta(seconds=120)
        assert depths["from-the-future"].oldest == timedelta()


def test_unacknowledged_messages_are_counted_where_the_broker_tells(
    app: Celery, url: str, take: Callable[..., list[Any]]
) -> None:
    send(app, "held", 4)
    take("held", 3)

    assert open_broker(app).unacked() == (None if url.startswith("amqp") else 3)


def test_the_tasks_of_a_dead_host_come_back_and_no_others(
    app: Celery, url: str, take: Callable[..., list[Any]]
) -> None:
    lost, kept = send(app, "work", 2)
    send(app, "work", headers={SENT_AT: time.time()})
    messages = take("work", 2)
    assert {message.headers["id"] for message in messages} == {lost, kept}

    returned = open_broker(app).give_back_tasks([lost, "never-heard-of"])

    if url.startswith("amqp"):  # the server does it when the dead host's connection closes
        assert returned == 0
        return
    assert returned == 1
    assert open_broker(app).depths(["work"])["work"].waiting == 2
    assert open_broker(app).unacked() == 1
    (first,) = take("work", 1)
    assert first.headers["id"] == lost, "it was next in line before, and is again"
    assert first.headers["redelivered"] is True


def test_a_message_comes_back_through_the_exchange_it_came_by(
    app: Celery, url: str, take: Callable[..., list[Any]]
) -> None:
    app.conf.task_queues = [Queue("mapped", Exchange("map", type="topic"), routing_key="map.#")]
    (lost,) = send(app, "mapped", routing_key="map.here")
    take("mapped", 1)

    assert open_broker(app).give_back_tasks([lost]) == (0 if url.startswith("amqp") else 1)
    if not url.startswith("amqp"):
        assert open_broker(app).depths(["mapped"])["mapped"].waiting == 1


def test_a_message_of_a_topic_that_the_control_side_does_not_know_comes_back(
    app: Celery, url: str, take: Callable[..., list[Any]], make_app: MakeApp
) -> None:
    app.conf.task_queues = [Queue("elsewhere", Exchange("theirs", type="topic"), routing_key="theirs.#")]
    (lost,) = send(app, "elsewhere", routing_key="theirs.here")
    take("elsewhere", 1)
    is_redis = not url.startswith("amqp")
    control = open_broker(make_app(url))
    assert control.give_back_tasks([lost]) == (1 if is_redis else 0)
    if is_redis:
        assert control.depths(["elsewhere"])["elsewhere"].waiting == 1


@REDIS_ALONE
def test_of_two_copies_of_a_task_the_dead_hosts_goes_back_to_its_own_queue_once(
    app: Celery, url: str, take: Callable[..., list[Any]], make_app: MakeApp
) -> None:
    """An exchange with two queues gives each a message of its own; the other one runs elsewhere."""
    both = Exchange("both", type="direct")
    app.conf.task_queues = [Queue(name, both, routing_key="key") for name in ("first", "second")]
    with app.connection_for_write() as connection:
        app.amqp.queues["second"](connection.default_channel).declare()
        app.amqp.queues["first"](connection.default_channel).declare()
    lost = str(app.send_task("work", exchange="both", routing_key="key").id)
    take("second", 1)
    take("first", 1)
    control = open_broker(make_app(url))
    assert control.give_back_tasks([lost]) == 0, "nobody knows which of them it is"
    assert [control.give_back_tasks([lost], {lost: ("second",)}) for _ in range(2)] == [1, 0]
    waiting = {queue: each.waiting for queue, each in control.depths(["first", "second"]).items()}
    assert waiting == {"first": 0, "second": 1}


@REDIS_ALONE
def test_what_a_host_names_as_its_queue_and_is_no_list_is_not_written_to(
    app: Celery, url: str, take: Callable[..., list[Any]]
) -> None:
    (lost,) = send(app, "work")
    take("work", 1)
    broker = open_broker(app)
    assert broker.give_back_tasks([lost], {lost: ("unacked",)}) == 0
    assert broker.unacked() == 1


def test_restoring_nothing_asks_nobody(make_app: MakeApp) -> None:
    assert open_broker(make_app("redis://127.0.0.1:1")).give_back_tasks([]) == 0


def test_a_broker_that_is_not_there_is_unreachable_and_never_empty(url: str, make_app: MakeApp) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        port = reserved.getsockname()[1]
        broker = open_broker(make_app(f"{url.partition(':')[0]}://127.0.0.1:{port}/"), timeout=2)

        with pytest.raises(BrokerUnreachable, match=str(port)):
            broker.depths(["work"])


def test_a_black_hole_is_given_up_by_the_deadline(wire: Any, make_app: MakeApp) -> None:
    wire.silence()
    broker = open_broker(make_app(wire.url), timeout=0.5)
    began = time.monotonic()

    with pytest.raises(BrokerUnreachable):
        broker.depths(["work"])

    assert time.monotonic() - began < 6


def test_a_wire_cut_in_the_middle_of_the_answers_is_given_up_by_the_deadline(
    wire: Any, make_app: MakeApp
) -> None:
    def names() -> Iterator[str]:
        for number in range(1000):
            if number == 300:
                wire.silence()
            yield f"q{number}"

    class Lazy(list[str]):
        """Queues of which the wire is cut as soon as they are walked through."""

        def __iter__(self) -> Iterator[str]:
            return names()

    broker = open_broker(make_app(wire.url), timeout=0.8)
    began = time.monotonic()

    with pytest.raises(BrokerUnreachable):
        broker.depths(Lazy())

    assert time.monotonic() - began < 6


def test_a_healed_wire_works_again_at_once(wire: Any, app: Celery, make_app: MakeApp) -> None:
    send(app, "work", 2)
    broker = open_broker(make_app(wire.url), timeout=1)
    wire.silence()
    with pytest.raises(BrokerUnreachable):
        broker.depths(["work"])

    wire.heal()

    assert broker.depths(["work"])["work"].waiting == 2


def test_the_second_address_of_a_list_is_tried_when_the_first_is_dead(
    app: Celery, url: str, make_app: MakeApp
) -> None:
    send(app, "work")
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        dead = f"{url.partition(':')[0]}://127.0.0.1:{reserved.getsockname()[1]}/1"

        broker = open_broker(make_app(f"{dead};{url}"), timeout=3)

        assert broker.depths(["work"])["work"].waiting == 1


def test_a_wrong_password_is_refused_in_words(amqp_url: str, make_app: MakeApp) -> None:
    wrong = amqp_url.replace("guest:guest", "guest:wr0ng")
    with pytest.raises(BrokerRefused) as refusal:
        open_broker(make_app(wrong)).depths(["work"])
    assert "wr0ng" not in str(refusal.value)


def test_a_wrong_password_is_refused_in_words_by_redis_too(make_app: MakeApp, valkey_server: str) -> None:
    wrong = valkey_server.replace("redis://", "redis://nobody:wr0ng@")
    with pytest.raises(BrokerRefused) as refusal:
        open_broker(make_app(wrong)).depths(["work"])
    assert "wr0ng" not in str(refusal.value)


def test_a_queue_that_cannot_be_read_is_that_one_unknown(valkey_url: str, make_app: MakeApp) -> None:
    app = make_app(valkey_url)
    send(app, "work")
    with app.connection_for_read() as connection:
        connection.default_channel.client.set("text", "not a list")

    assert open_broker(app).depths(["text", "work", "none"]).keys() == {"work", "none"}


def test_on_rabbitmq_too_and_a_name_that_is_no_name_is_a_queue_that_is_not_there(
    amqp_url: str, make_app: MakeApp
) -> None:
    app = make_app(amqp_url)
    send(app, "work")
    with app.connection_for_read() as owner:
        # Another connection's exclusive queue may not even be looked at: 405.
        owner.default_channel.queue_declare("hers", exclusive=True)
        found = open_broker(app).depths(["hers", "work", "none"])
    assert found.keys() == {"work", "none"}
    assert found["work"].waiting == 1


def test_a_key_prefix_and_other_names_of_the_redis_transport_are_honoured(
    valkey_url: str, make_app: MakeApp
) -> None:
    app = make_app(
        valkey_url,
        broker_transport_options={
            "global_keyprefix": "tenant:",
            "sep": ":",
            "priority_steps": [0, 5],
            "unacked_key": "mine",
        },
    )
    send(app, "work", headers={SENT_AT: time.time() - 60})
    send(app, "work", priority=7)
    with app.connection_for_read() as connection:
        app.amqp.queues["work"](connection.default_channel).get()
        broker = open_broker(app)

        assert broker.depths(["work"])["work"].waiting == 1
        assert broker.unacked() == 1


def test_quorum_queues_are_counted_like_classic_ones(amqp_url: str, make_app: MakeApp) -> None:
    app = make_app(amqp_url, task_queues=[Queue("safe", queue_arguments={"x-queue-type": "quorum"})])
    send(app, "safe", 3)

    assert open_broker(make_app(amqp_url)).depths(["safe"])["safe"].waiting == 3


def test_the_memory_transport_serves_tests_of_others(make_app: MakeApp) -> None:
    app = make_app("memory://")
    send(app, "in-memory", 2)

    depths = open_broker(app).depths(["in-memory", "missing"])

    assert (depths["in-memory"].waiting, depths["missing"].waiting) == (2, 0)


def test_another_kind_of_broker_is_named_with_what_would_be_right(make_app: MakeApp) -> None:
    with pytest.raises(BrokerUnsupported, match=r"filesystem.*redis://"):
        open_broker(make_app("filesystem://"))


@REDIS_ALONE
def test_a_task_is_found_in_line_with_how_many_are_before_it(
    app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autoscaler_app.brokers.redis.PAGE", 3)
    other, ids = send(app, "one", 2), send(app, "other", 8)
    broker = open_broker(app)
    found = [broker.in_line(each, ["missing", "one", "other"]) for each in (*other, *ids)]
    assert [(place.queue, place.before) for place in found if place is not None] == [
        *(("one", before) for before in range(2)),
        *(("other", before) for before in range(8)),
    ]
    assert broker.in_line("never-sent", ["one", "other"]) is None


@pytest.mark.parametrize("url", ["rabbitmq"], indirect=True)
def test_where_a_task_cannot_be_looked_for_that_is_said(app: Celery) -> None:
    with pytest.raises(BrokerUnsupported, match="ask for the queue itself"):
        open_broker(app).in_line("some-id", ["one"])


def test_what_of_a_redis_server_loses_messages_is_told(tmp_path: Path, make_app: MakeApp) -> None:
    server = DurableBroker(tmp_path)
    try:
        broker = open_broker(make_app(server.url))
        assert broker.dangers() == ()
        with redis.Redis.from_url(server.url) as client:
            client.config_set("maxmemory", "100mb")
            client.config_set("maxmemory-policy", "allkeys-lru")
            client.config_set("appendonly", "no")
            client.config_set("save", "")
            evicts, forgets = broker.dangers()
            assert "allkeys-lru" in evicts
            assert "a restart loses every message" in forgets
            client.config_set("save", "3600 1")
            assert "only now and then" in broker.dangers()[1]
            client.execute_command("ACL", "SETUSER", "default", "-config")
            (unknown,) = broker.dangers()
            assert "whether it loses messages is unknown" in unknown
    finally:
        server.stop()


@pytest.mark.parametrize("url", ["rabbitmq"], indirect=True)
def test_what_rabbitmq_does_to_long_tasks_is_told(app: Celery) -> None:
    (danger,) = open_broker(app).dangers()
    assert "consumer_timeout" in danger
