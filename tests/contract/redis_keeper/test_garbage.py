"""What lies in a queue and is no message is set aside, as it was, and ends nobody."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
import redis
from kombu import Connection, Queue

from tests.contract.redis_keeper.holders import bodies, got, holding, put

Connect = Callable[..., Connection]

MESSAGE: dict[str, Any] = {
    "body": "InNhdmVkIg==",
    "content-type": "application/json",
    "content-encoding": "utf-8",
    "headers": {},
    "properties": {
        "body_encoding": "base64",
        "delivery_tag": "1",
        "delivery_info": {"exchange": "", "routing_key": "q"},
        "priority": 0,
    },
}


def changed(**properties: Any) -> bytes:
    return json.dumps({**MESSAGE, "properties": {**MESSAGE["properties"], **properties}}).encode()


GARBAGE = [
    b"x",
    b"",
    b"\xff\xfe",
    b"1, 2",
    b"null",
    b"[]",
    b'"text"',
    b"{}",
    b'{"properties": 1}',
    b'{"properties": {"delivery_info": []}}',
    b"[" * 100_000,
    b'{"__type__": "datetime", "__value__": "soon"}',
    json.dumps({**MESSAGE, "headers": 1}).encode(),
    json.dumps({**MESSAGE, "body": 1}).encode(),
    changed(delivery_info={}),
    changed(body_encoding="rot13"),
    json.dumps({**MESSAGE, "body": "InNhd"}).encode(),
]


@pytest.mark.parametrize("element", GARBAGE, ids=lambda element: element[:40].decode(errors="replace"))
def test_it_is_set_aside_and_the_next_message_comes(
    connect: Connect, server: redis.Redis, element: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    connection = connect()
    server.lpush("q", element, json.dumps(MESSAGE))
    with caplog.at_level(logging.ERROR, "redis_keeper"):
        assert bodies(got(connection, 1)) == ["saved"]
    assert server.lrange("unacked.set_aside.q", 0, -1) == [element]
    assert not server.exists("unacked", "unacked_index")
    assert "the queue 'q'" in caplog.text
    server.lpush("q", element, json.dumps(MESSAGE))
    assert Queue("q")(connection.default_channel).get().payload == "saved"


def test_what_a_dead_one_had_of_it_is_set_aside_too(
    url: str, connect: Connect, server: redis.Redis, wait_until: Callable[..., Any]
) -> None:
    """It died before it could look at it."""
    connection = connect()
    put(connection, "one")
    with holding(url, "q", 1) as holder:
        name = holder.wait()
        holder.kill()
        server.hset("unacked", f"{name}:77", b'[\xff, "", "q"]')
        assert bodies(got(connection, 1)) == ["one"]
        watcher = connection.channel()
        watcher.pulse.serve(watcher)
        wait_until(lambda: server.lrange("unacked.set_aside.q", 0, -1) == [b"\xff"])


def test_what_of_another_transport_cannot_be_read_is_kept_where_it_is(
    connect: Connect, server: redis.Redis
) -> None:
    connection = connect(unacked_restore_throttle=1)
    server.hset("unacked", "theirs", "no entry")
    server.zadd("unacked_index", {"theirs": 1})
    connection.default_channel.qos.restore_visible(interval=1)
    assert server.hget("unacked", "theirs") == b"no entry"
