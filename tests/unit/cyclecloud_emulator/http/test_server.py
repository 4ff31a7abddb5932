"""What is half said, said in two ways or not at all holds nobody up; and the server gets its port back."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from cyclecloud_emulator.http import server as server_module
from cyclecloud_emulator.http.server import Server
from cyclecloud_emulator.message import Answer
from tests.conftest import free_port


def test_a_port_that_a_connection_was_given_meanwhile_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, wait_until: Any
) -> None:
    """The ports of which a server is given any are those that outgoing connections are given as well."""
    server = Server("127.0.0.1", free_port(), lambda request: Answer(status=200))
    server.start()
    server.stop()
    listen, tries = server_module._Http, []

    def counted(*arguments: Any) -> Any:
        tries.append(arguments)
        return listen(*arguments)

    monkeypatch.setattr(server_module, "_Http", counted)
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        there = elsewhere.getsockname()
        with socket.create_connection(there, source_address=("127.0.0.1", server.port)):
            reopening = threading.Thread(target=server.reopen)
            reopening.start()
            wait_until(lambda: len(tries) > 1 or not reopening.is_alive())
            assert reopening.is_alive()
            # Whoever closes first keeps the port for a while: let it be the other end.
            elsewhere.accept()[0].close()
    reopening.join(30)
    assert httpx.get(server.url).status_code == 200
    server.stop()


@pytest.fixture
def server() -> Iterator[Server]:
    """Answers with the body that it was sent."""
    made = Server("127.0.0.1", 0, lambda request: Answer(status=200, body=request.body))
    made.start()
    yield made
    made.stop()


def told(server: Server, *headers: str, body: str = "") -> str:
    """The status line that a request with these lines gets; empty if the connection is closed."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall("\r\n".join(["POST / HTTP/1.1", *headers, "Connection: close", "", body]).encode())
        return connection.makefile().readline().strip()


@pytest.mark.parametrize(
    "headers",
    [
        ("Host: x", "Content-Length: 2", "Content-Length: 60"),
        ("Host: x", "Content-Length: 2", "Content-Length: 2"),
        ("Host: x", "Content-Length: 2", "Transfer-Encoding : chunked"),
        ("Host: x", "Content-Length: +2"),
        ('Host: evil.example/"<x>', "Content-Length: 2"),
    ],
)
def test_what_may_be_read_in_two_ways_is_refused(server: Server, headers: tuple[str, ...]) -> None:
    assert told(server, *headers, body="{}") == "HTTP/1.1 400 Bad Request"
    assert told(server, "Host: [::1]:80", "Content-Length: 2", body="{}") == "HTTP/1.1 200 OK"


def test_half_a_request_is_not_waited_for_for_ever(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "ARRIVES_SECONDS", 0.05)
    monkeypatch.setattr(server_module, "KEPT_SECONDS", 0.1)
    for half in (
        b"",
        b"GE",
        b"GET / HTTP/1.1\r\nX-a: b\r\n",
    ):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            connection.sendall(half)
            assert connection.recv(1) == b"", "closed"


@pytest.mark.parametrize(
    ("names_himself", "constant"), [(True, "ARRIVES_SECONDS"), (False, "UNKNOWN_SECONDS")]
)
def test_who_sends_half_a_body_is_told_so_and_sooner_where_nobody_knows_him(
    server: Server, monkeypatch: pytest.MonkeyPatch, names_himself: bool, constant: str
) -> None:
    """What comes behind it is of the body, as far as anybody can tell: it gets no answer of its own."""
    monkeypatch.setattr(server_module, constant, 0.05)
    headers = ("Host: x", "Content-Length: 99", *(["Authorization: Basic x"] if names_himself else []))
    assert told(server, *headers, body="{}GET / HTTP/1.1") == "HTTP/1.1 408 Request Timeout"


def test_where_it_is_asked_says_the_connection_and_not_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever stands between and repeats what was answered would lead others where one client likes."""
    server = Server("127.0.0.1", 0, lambda request: Answer(status=200, body=request.base_url.encode()))
    server.start()
    answer = httpx.get(server.url, headers={"Host": "evil.example"})
    assert answer.text == server.url
    server.stop()


def test_beyond_a_number_of_connections_who_comes_is_sent_away(
    server: Server, monkeypatch: pytest.MonkeyPatch, wait_until: Any
) -> None:
    monkeypatch.setattr(server_module, "MOST_CONNECTIONS", 2)
    here = ("127.0.0.1", server.port)
    with (
        socket.create_connection(here),
        socket.create_connection(here),
        socket.create_connection(here, timeout=30) as third,
    ):
        assert third.recv(1) == b""
    wait_until(lambda: not server._http._connections, what="the two are gone")
    assert told(server, "Host: x", "Content-Length: 2", body="{}") == "HTTP/1.1 200 OK"
