"""Connections of the transport on real servers, and a pulse that is quick enough for a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import redis
from kombu import Connection

import redis_keeper
from redis_keeper import pulse


@pytest.fixture(params=["redis_url", "valkey_url"])
def url(request: pytest.FixtureRequest) -> str:
    """An empty database."""
    found: str = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def server(url: str) -> Iterator[redis.Redis]:
    """A plain client on it."""
    with redis.Redis.from_url(url) as client:
        yield client


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds become tenths, in this process."""
    monkeypatch.setattr(pulse, "BEAT", 0.05)
    monkeypatch.setattr(pulse, "GRACE", 0.3)
    monkeypatch.setattr(pulse, "LEASE", 0.3)


@pytest.fixture(autouse=True)
def alone(url: str, wait_until: Callable[..., Any]) -> Iterator[None]:
    """This process' sign of life ends before its database is another test's: it would go on there as it began
    here, and look after whoever is there then."""
    before = dict(pulse._pulses)
    pulse._pulses.clear()
    yield
    for each in pulse._pulses.values():
        # What a test owes to a server that it has stopped would be owed for ever.
        for of_use in (each._users, each._held, each._owed, each._asked):
            of_use.clear()
        each._hurry.set()
    wait_until(lambda: all(each._thread is None for each in pulse._pulses.values()), what="no pulse beats")
    pulse._pulses.clear()
    pulse._pulses.update(before)


@pytest.fixture
def connect(url: str) -> Iterator[Callable[..., Connection]]:
    """Opens connections of this transport; they are closed after the test."""
    redis_keeper.install()
    with ExitStack() as stack:

        def connection(to: str = url, **options: Any) -> Connection:
            return stack.enter_context(Connection(to, transport_options=options))

        yield connection
    redis_keeper.uninstall()


@pytest.fixture
def stock(url: str) -> Iterator[Callable[..., Connection]]:
    """Opens connections of kombu's own."""
    with ExitStack() as stack:

        def connection(**options: Any) -> Connection:
            from kombu.transport.redis import Transport

            return stack.enter_context(Connection(url, transport=Transport, transport_options=options))

        yield connection
