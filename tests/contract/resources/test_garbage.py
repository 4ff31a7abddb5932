"""What lies in a queue and is no message: it is set aside and told, and ends nobody."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kombu import Producer
from resource_nodes import Lab

import redis_keeper

ELEMENTS = [
    b"x",
    b"\xff\xfe",
    b"[]",
    b"{}",
    b"5",
    b'{"body": 5, "properties": {}}',
    b'{"body": "a", "headers": {}, "properties": {"delivery_tag": "1", "body_encoding": "base64", '
    b'"delivery_info": {"exchange": "", "routing_key": "one"}}}',
]


@pytest.fixture(params=["kombu's transport", "redis_keeper"])
def _transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Of the app and of its nodes."""
    monkeypatch.setenv("RESOURCE_APP_KEEPER", "1" if request.param == "redis_keeper" else "0")
    yield
    redis_keeper.uninstall()


@pytest.mark.usefixtures("_transport")
def test_a_node_works_on_after_elements_that_are_no_messages(
    make_lab: Callable[..., Lab], valkey_url: str
) -> None:
    """A queue of RabbitMQ holds messages and nothing else."""
    lab = make_lab(valkey_url)
    node = lab.node("n1").wait_ready()
    node.join("one")
    pid = node.ask("resources")["pid"]
    with lab.app.connection_for_write() as connection:
        client = connection.default_channel.client
        for element in ELEMENTS:
            client.lpush("res:ncpus=1", element)
    lab.wait_finished([lab.send("one", "work", 0.01) for _ in range(3)])
    told = node.ask("resources")
    assert told["pid"] == pid, "the same process"
    assert told["garbage"] == len(ELEMENTS)
    assert node.log.read_text().count("no message") >= len(ELEMENTS)


DEEP: dict[str, Any] = {}
for _ in range(1500):
    DEEP = {"": DEEP}
UNREADABLE: list[dict[str, Any]] = [
    {"content_type": b"\xff"},
    {"correlation_id": b"\xff"},
    {"headers": DEEP},
    {"headers": {"compression": "nonsense"}},
]
"""What comes with a message of RabbitMQ: py-amqp stumbles over all but the last."""


def test_a_node_works_on_after_messages_of_which_nothing_can_be_read(
    make_lab: Callable[..., Lab], amqp_url: str
) -> None:
    lab = make_lab(amqp_url)
    node = lab.node("n1").wait_ready()
    node.join("one")
    pid = node.ask("resources")["pid"]
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        with lab.app.connection_for_write() as connection:
            producer = Producer(connection.default_channel, auto_declare=False)
            for odd in UNREADABLE:
                how = {"content_type": "application/json", "content_encoding": "utf-8", **odd}
                producer.publish(b"[[], {}, {}]", routing_key="res:ncpus=1", **how)
                producer.publish(b"{}", exchange="celery.pidbox", routing_key=b"\xff", **how)
    finally:
        sys.setrecursionlimit(limit)
    lab.wait_finished([lab.send("one", "work", 0.01) for _ in range(3)])
    told = node.ask("resources")
    assert told["pid"] == pid, "the same process"
    assert told["garbage"] == 2 * 3
    assert lab.unacknowledged() == 0


LIMITS, CHILD = {"timelimit": ["a", "b"]}, {"stamped_headers": 5}
NO_TASKS: list[dict[str, Any]] = [
    {"id": []},
    {"task": []},
    {"eta": []},
    LIMITS,
    CHILD,
]
"""Headers over which Celery stumbles: as it takes the message, in its loop long after, as it gives it to a
child."""


def test_a_node_works_on_after_messages_that_are_no_tasks(lab: Lab) -> None:
    node = lab.node("n1").wait_ready()
    node.join("one")
    pid = node.ask("resources")["pid"]
    with lab.app.connection_for_write() as connection:
        producer = Producer(connection.default_channel, auto_declare=False)
        for odd in NO_TASKS:
            headers = {
                "lang": "py",
                "task": "work",
                "id": str(uuid.uuid4()),
                "argsrepr": "",
                "retries": 0,
                **odd,
            }
            producer.publish(
                "[[0.0], {}, {}]",
                routing_key="res:ncpus=1",
                headers=headers,
                content_type="application/json",
                content_encoding="utf-8",
            )
    lab.wait_finished([lab.send("one", "work", 0.01) for _ in range(3)])
    lab.wait_until(lambda: not node.ask("resources")["running"], what="nothing is left in its books")
    told = node.ask("resources")
    assert told["pid"] == pid, "the same process"
    assert (told["garbage"], told["scheduled"]) == (len(NO_TASKS), 0)
    assert lab.unacknowledged() == 0
