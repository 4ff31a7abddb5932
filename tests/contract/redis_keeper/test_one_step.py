"""What is fetched is written down in the same step, in kombu's own layout, and settled by its tag."""

from __future__ import annotations

import itertools
import json
import socket
from collections.abc import Callable
from typing import Any

import pytest
import redis
from kombu import Connection, Exchange, Queue

from redis_keeper.layout import Layout, consumer_of, ending
from redis_keeper.scripts import REFUSED, TAKE
from tests.contract.redis_keeper.holders import bodies, got, put

Connect = Callable[..., Connection]


def test_what_is_delivered_is_in_the_hash_and_the_index_until_it_is_acknowledged(
    connect: Connect, server: redis.Redis
) -> None:
    connection = connect()
    put(connection, "one")
    (message,) = got(connection, 1, ack=False)
    tag = message.delivery_tag.encode()
    assert server.hkeys("unacked") == server.zrange("unacked_index", 0, -1) == [tag]
    assert consumer_of(message.delivery_tag) == connection.default_channel.pulse.consumer
    element, exchange, routing_key = json.loads(server.hget("unacked", tag) or b"")
    assert (exchange, routing_key, element["properties"]["priority"]) == ("", "q", 0)
    message.ack()
    assert not server.exists("unacked", "unacked_index", "q")


def test_the_answer_need_not_come_for_it_to_be_written_down(connect: Connect, server: redis.Redis) -> None:
    """The step itself, as it is sent: whoever dies now is known."""
    connection = connect()
    put(connection, "one")
    names = Layout.of(connection.default_channel)
    keys = [names.unacked, names.index, names.consumers, names.refused("keeper:x:1"), names.wake("q")]
    TAKE(server, [*keys, *names.lists(["q"])], ["keeper:x:1", "keeper:x", 1, ending("q")])
    assert (server.llen("q"), server.hkeys("unacked")) == (0, [b"keeper:x:1"])
    assert server.zrange("unacked.consumers", 0, -1) == [b"keeper:x"]


def test_a_fetch_that_was_given_up_takes_nothing_when_it_comes_late(
    connect: Connect, server: redis.Redis
) -> None:
    connection = connect()
    put(connection, "one")
    channel = connection.default_channel
    names = channel.layout
    assert channel.pulse.shelf.refuse("keeper:x:1") == 0
    keys = [names.unacked, names.index, names.consumers, names.refused("keeper:x:1"), names.wake("q")]
    answer = TAKE(server, [*keys, *names.lists(["q"])], ["keeper:x:1", "keeper:x", 1, ending("q")])
    assert (answer, server.llen("q"), server.hlen("unacked")) == ([REFUSED], 1, 0)


def test_a_fetch_that_is_sent_twice_takes_one_message(connect: Connect, server: redis.Redis) -> None:
    """As redis-py does, where it was told to try again."""
    connection = connect()
    put(connection, "one", "two")
    server.delete("unacked.wake.q")
    names = connection.default_channel.layout
    keys = [names.unacked, names.index, names.consumers, names.refused("keeper:x:1"), names.wake("q")]
    answers = [
        TAKE(server, [*keys, *names.lists(["q"])], ["keeper:x:1", "keeper:x", 1, ending("q")])
        for _ in range(2)
    ]
    assert answers[0][0] == 1
    assert server.llen("unacked.wake.q") == 1, "what is left wakes another one"
    assert (answers[1], server.llen("q"), server.hlen("unacked")) == ([REFUSED], 1, 1)


@pytest.mark.parametrize("requeue", [False, True])
def test_what_is_rejected_is_gone_or_the_last_of_its_queue(
    connect: Connect, server: redis.Redis, requeue: bool
) -> None:
    connection = connect()
    put(connection, "one", "two")
    (message,) = got(connection, 1, ack=False, prefetch=1)
    message.reject(requeue=requeue)
    rest = got(connection, 2 if requeue else 1)
    assert bodies(rest) == (["two", "one"] if requeue else ["two"])
    assert [bool(m.delivery_info.get("redelivered")) for m in rest] == [False, True][: len(rest)]
    assert not server.exists("unacked", "unacked_index")


def test_what_a_channel_has_when_it_closes_goes_back_in_its_order(
    connect: Connect, server: redis.Redis
) -> None:
    connection = connect()
    put(connection, "one", "two", "three")
    with connection.channel() as channel:
        consumer = connection.Consumer([Queue("q")], channel=channel, callbacks=[lambda body, message: None])
        with consumer:
            while server.llen("q"):
                connection.drain_events(timeout=10)
    assert server.hlen("unacked") == 0
    assert sorted(bodies(got(connection, 3))) == ["one", "three", "two"]


def test_messages_are_gotten_one_by_one_as_well(connect: Connect, server: redis.Redis) -> None:
    connection = connect()
    put(connection, "one", "two")
    queue = Queue("q")(connection.default_channel)
    first, second = queue.get(), queue.get(no_ack=True)
    assert (first.payload, second.payload, queue.get()) == ("one", "two", None)
    assert server.hkeys("unacked") == [first.delivery_tag.encode()]
    first.ack()
    assert server.hlen("unacked") == 0


def test_what_nobody_will_acknowledge_is_not_written_down(connect: Connect, server: redis.Redis) -> None:
    connection = connect()
    put(connection, "one")
    (message,) = got(connection, 1, ack=False, no_ack=True)
    assert (message.payload, server.exists("unacked", "unacked_index")) == ("one", 0)


def test_one_message_in_two_queues_is_two_deliveries(connect: Connect, server: redis.Redis) -> None:
    """kombu's own keeps them under one tag, and the second one overwrites the first."""
    connection = connect()
    exchange = Exchange("topics", "topic")
    queues = [Queue(name, exchange, routing_key="t.#") for name in ("a", "b")]
    connection.Producer().publish("one", exchange=exchange, routing_key="t.x", declare=queues)
    first, second = (queue(connection.default_channel).get() for queue in queues)
    assert server.hlen("unacked") == 2
    first.ack()
    second.reject(requeue=True)
    assert (server.llen("a"), server.llen("b"), server.hlen("unacked")) == (0, 1, 0)


def test_urgent_ones_come_first_and_queues_take_turns(connect: Connect) -> None:
    connection = connect()
    for priority in (9, 6, 3, 0):
        put(connection, priority, priority=priority)
    assert bodies(got(connection, 4)) == [0, 3, 6, 9]
    put(connection, "a1", "a2", "a3", queue="a")
    put(connection, "b1", "b2", "b3", queue="b")
    said = [body[0] for body in bodies(got(connection, 6, "a", "b"))]
    assert all(one != next_one for one, next_one in itertools.pairwise(said)), said


def test_a_full_server_can_be_emptied(valkey_url: str, connect: Connect) -> None:
    """It refuses what would make it fuller, and lets fetch, acknowledge and give back."""
    connection = connect(valkey_url)
    with redis.Redis.from_url(valkey_url) as server:
        put(connection, "one", "two")
        server.config_set("maxmemory", "1")
        try:
            with pytest.raises(redis.exceptions.ResponseError, match="maxmemory"):
                server.lpush("more", "x")
            first, second = got(connection, 2, ack=False)
            first.ack()
            second.reject(requeue=True)
            assert (server.hlen("unacked"), server.llen("q")) == (0, 1)
        finally:
            server.config_set("maxmemory", "0")


def test_a_key_of_another_kind_in_the_place_of_a_queue_stops_no_other(
    connect: Connect, server: redis.Redis
) -> None:
    connection = connect()
    server.set("a", "not a list")
    put(connection, "one", queue="b")
    assert bodies(got(connection, 1, "a", "b", auto_declare=False)) == ["one"]


def test_a_prefix_is_before_every_key(connect: Connect, server: redis.Redis) -> None:
    connection = connect(global_keyprefix="mine:")
    put(connection, "one", "two")
    first, _ = got(connection, 2, ack=False)
    first.ack()
    assert {key.decode().partition(":")[0] for key in server.scan_iter()} == {"mine"}
    assert server.hlen("mine:unacked") == 1


def test_without_acknowledgements_it_is_kombus_own(connect: Connect, server: redis.Redis) -> None:
    connection = connect(ack_emulation=False)
    put(connection, "one", "two")
    assert bodies(got(connection, 1, prefetch=1)) == ["one"]
    assert Queue("q")(connection.default_channel).get().payload == "two"
    assert not server.exists("unacked", "unacked.consumers")


def test_nothing_there_is_a_timeout(connect: Connect) -> None:
    connection = connect()
    with connection.Consumer([Queue("q")], callbacks=[pytest.fail]), pytest.raises(socket.timeout):
        connection.drain_events(timeout=0.3)


def test_a_server_that_has_forgotten_the_script_is_told_it_again(
    connect: Connect, server: redis.Redis
) -> None:
    connection = connect()
    found: list[Any] = []
    with connection.Consumer([Queue("q")], callbacks=[lambda body, m: (m.ack(), found.append(body))]):
        for number in range(3):
            server.script_flush()
            put(connection, number)
            while len(found) <= number:
                connection.drain_events(timeout=10)
    assert found == [0, 1, 2]
