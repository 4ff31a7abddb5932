"""What a worker's loop waits for, it waits for a while only."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from kombu import Connection

from celery_resources.insides import silence
from celery_resources.insides.silence import PATIENCE, bound_waits


@pytest.fixture
def bounded() -> Iterator[None]:
    """This process is a worker's for as long as the test."""
    bound_waits()
    bound_waits()
    yield
    silence._loops.clear()


@pytest.fixture
def mute() -> Iterator[str]:
    """A server that takes everything and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


def patience(url: str, **options: Any) -> float | None:
    """Seconds for which a channel to this Redis waits; nothing is asked of it."""
    transport = Connection(url, transport_options=options).transport
    channel: Any = transport.Channel.__new__(transport.Channel)
    channel.connection = transport
    for name, value in options.items():
        setattr(channel, name, value)
    return channel._connparams()["socket_timeout"]


@pytest.mark.usefixtures("bounded")
def test_the_loop_of_a_worker_does_not_wait_for_a_mute_redis_for_ever(
    mute: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "PATIENCE", 0.1)
    connection = Connection(mute)
    with pytest.raises(connection.connection_errors):
        connection.connect()
    connection.collect()


@pytest.mark.usefixtures("bounded")
def test_what_a_task_waits_for_is_its_own_affair_and_what_you_have_set_counts(
    mute: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert patience(mute) == PATIENCE
    assert patience(mute, socket_timeout=5) == 5
    with ThreadPoolExecutor() as pool:
        assert pool.submit(patience, mute).result() is None, "a task in a thread of the pool"
    monkeypatch.setattr(silence, "_loops", {os.getpid() + 1})
    assert patience(mute) is None, "a child of the pool"


@pytest.mark.usefixtures("bounded")
def test_nor_for_a_mute_rabbitmq(amqp_url: str) -> None:
    with Connection(amqp_url) as connection:
        assert connection.connection.sock.gettimeout() == PATIENCE
    with Connection(amqp_url, transport_options={"read_timeout": 7}) as connection:
        assert connection.connection.sock.gettimeout() == 7


def test_who_is_no_worker_waits_as_ever(mute: str) -> None:
    assert patience(mute) is None
