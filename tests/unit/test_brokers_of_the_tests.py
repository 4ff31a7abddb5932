"""The broker fixtures give each test a broker of its own that works."""

from __future__ import annotations

import pytest
from kombu import Connection

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
