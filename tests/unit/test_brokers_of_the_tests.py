"""The broker fixtures give each test a broker of its own that works."""

from __future__ import annotations

import contextlib
import socket

import pytest
from kombu import Connection

from tests.conftest import free_port
from tests.rabbitmq import RabbitMQ


def test_each_broker_passes_a_message_on(broker_url: str) -> None:
    with Connection(broker_url) as connection, connection.SimpleQueue("letters") as queue:
        queue.put("hello")
        message = queue.get(timeout=10)
        message.ack()
    assert message.payload == "hello"


def test_the_embedded_broker_passes_a_message_on(valkey_url: str) -> None:
    with Connection(valkey_url) as connection, connection.SimpleQueue("letters") as queue:
        queue.put("hello")
        message = queue.get(timeout=10)
        message.ack()
    assert message.payload == "hello"


def test_the_port_of_a_server_that_may_be_down_for_a_while_is_given_to_nobody_else() -> None:
    mine = {free_port() for _ in range(20)}
    assert len(mine) == 20
    with contextlib.ExitStack() as open_:
        others = [open_.enter_context(socket.socket()) for _ in range(20)]
        for each in others:
            each.bind(("127.0.0.1", 0))
        assert max(mine) < min(each.getsockname()[1] for each in others)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("end", ["stop", "kill"])
def test_what_is_durable_outlives_the_rabbitmq_of_the_tests(
    own_rabbitmq: RabbitMQ, own_amqp_url: str, end: str
) -> None:
    options = {"confirm_publish": True}
    with Connection(own_amqp_url, transport_options=options) as connection:
        connection.SimpleQueue("letters").put("hello")

    getattr(own_rabbitmq, end)()
    with pytest.raises(ConnectionRefusedError):
        Connection(own_amqp_url).connect()
    own_rabbitmq.start_again()

    with Connection(own_amqp_url) as connection, connection.SimpleQueue("letters") as queue:
        message = queue.get(timeout=30)
        message.ack()
    assert message.payload == "hello"
