"""Apps on each kind of broker, and a wire to them that can be cut without a word."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit, urlunsplit

import pytest
from celery import Celery


class Wire:
    """A TCP relay to a broker. `silence()` makes a black hole of it: it accepts and never answers."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 5672)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._turning = threading.Lock()
        self._silent = threading.Event()
        self._closed = threading.Event()
        host, port = self._listener.getsockname()
        login = f"{parts.username or ''}:{parts.password}@" if parts.password else ""
        self.url = urlunsplit(parts._replace(netloc=f"{login}{host}:{port}"))
        self._thread = threading.Thread(target=self._relay, daemon=True)
        self._thread.start()

    def silence(self) -> None:
        """Swallow everything from now on, on old connections and on new ones."""
        self._silent.set()

    def heal(self) -> None:
        """Let new connections through; the old ones are lost."""
        with self._turning:
            self._cut()
            self._silent.clear()

    def _cut(self) -> None:
        for pair in self._pairs:
            for end in pair:
                end.close()
        self._pairs = []

    def _relay(self) -> None:
        while not self._closed.is_set():
            with self._turning:
                self._turn()

    def _turn(self) -> None:
        peers = {a: b for pair in self._pairs for a, b in (pair, pair[::-1])}
        readable, _, _ = select.select([self._listener, *peers], [], [], 0.02)
        for end in readable:
            if end is self._listener:
                self._pairs.append((self._listener.accept()[0], socket.create_connection(self._target, 5)))
            elif not self._pass_on(end, peers[end]):
                end.close()
                peers[end].close()
                self._pairs = [pair for pair in self._pairs if end not in pair]
                return

    def _pass_on(self, end: socket.socket, peer: socket.socket) -> bool:
        """False if the connection is over."""
        try:
            data = end.recv(65536)
            if data and not self._silent.is_set():
                peer.sendall(data)
        except OSError:
            return False
        return bool(data)

    def close(self) -> None:
        self._closed.set()
        self._thread.join(5)
        self._cut()
        self._listener.close()


@pytest.fixture(params=["redis", "valkey", "rabbitmq"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of each kind of broker in turn."""
    fixture = {"redis": "redis_url", "valkey": "valkey_url", "rabbitmq": "amqp_url"}[request.param]
    return str(request.getfixturevalue(fixture))


@pytest.fixture
def make_app() -> Iterator[Callable[..., Celery]]:
    """Celery apps that are closed after the test; keyword arguments are settings."""
    made: list[Celery] = []

    def make(url: str, **settings: object) -> Celery:
        app = Celery(f"contract-{len(made)}", broker=url, set_as_current=False)
        app.conf.update(broker_connection_timeout=5.0, **settings)
        if url.startswith("amqp"):  # what was sent has arrived
            app.conf.broker_transport_options = {"confirm_publish": True}
        made.append(app)
        return app

    yield make
    for app in made:
        app.close()


@pytest.fixture
def app(url: str, make_app: Callable[..., Celery]) -> Celery:
    """A producer's app on the broker."""
    return make_app(url)


@pytest.fixture
def wire(url: str) -> Iterator[Wire]:
    """A relay in front of the broker."""
    wire = Wire(url)
    yield wire
    wire.close()
