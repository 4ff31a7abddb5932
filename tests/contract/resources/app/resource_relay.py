"""A relay between a node and its broker, so that a test can hurt the node's connections and no others."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit


class Pair:
    """A connection of a client, and the one that was made for it."""

    def __init__(self, near: socket.socket, far: socket.socket, is_held: bool) -> None:
        self.ends = (near, far)
        self.passes = threading.Event()
        """Not set: its bytes are held back, and so is its end."""
        if not is_held:
            self.passes.set()

    def break_off(self) -> None:
        for end in self.ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self.passes.set()


class Relay:
    """Listens on a port of its own and passes bytes on.

    `cut` breaks what is connected, with a word; then it takes new connections. `hold` breaks nothing and
    says nothing: whoever writes is not answered, and who comes is not served. `release` passes on what was
    held back (a network that was slow); `renew` only what comes over new connections (one that forgot the
    old ones).
    """

    def __init__(self, host: str, port: int, server: socket.socket | None = None) -> None:
        """`server`: where it listens, if that is not a port of its own."""
        self.url = ""
        self.refuses = False
        """Whether who comes is sent away, as by a broker that is about to start."""
        self.refused = 0
        self.passed_back = 0
        """Bytes that came from the broker and were passed on."""
        self._target = (host, port)
        self._pairs: list[Pair] = []
        self._is_held = False
        self._lock = threading.Lock()
        self._server = server or socket.create_server(("127.0.0.1", 0))
        self.address: str
        self.port: int
        self.address, self.port = self._server.getsockname()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def cut(self) -> int:
        """Break every connection now; how many there were."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            pair.break_off()
        return len(pairs)

    def hold(self) -> None:
        """From now on nothing passes, either way, and nobody is told."""
        with self._lock:
            self._is_held = True
            for pair in self._pairs:
                pair.passes.clear()

    def release(self) -> None:
        """Everything passes again, and what was held back comes late."""
        self.renew()
        with self._lock:
            for pair in self._pairs:
                pair.passes.set()

    def renew(self) -> None:
        """New connections pass. Of the old ones nothing comes any more, not even their end."""
        with self._lock:
            self._is_held = False

    def lead_to(self, url: str) -> None:
        """Who comes from now on is led to this broker."""
        self._target = _place(url)

    def close(self) -> None:
        """Cut, and listen no more. Returns when every thread has ended."""
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._threads[0].join(10)
        self.cut()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            if self.refuses:
                near.close()
                self.refused += 1
                continue
            try:
                far = socket.create_connection(self._target)
            except OSError:  # the broker is down, and who comes hears that
                near.close()
                continue
            with self._lock:
                pair = Pair(near, far, self._is_held)
                self._pairs.append(pair)
            thread = threading.Thread(target=self._serve, args=(pair,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, pair: Pair) -> None:
        near, far = pair.ends
        back = threading.Thread(target=_pass_on, args=(far, near, pair.passes, self._count), daemon=True)
        back.start()
        _pass_on(near, far, pair.passes)
        back.join()
        near.close()
        far.close()

    def _count(self, passed: int) -> None:
        with self._lock:
            self.passed_back += passed


def relay_to(broker: str, server: socket.socket | None = None) -> Relay:
    """A relay to the broker of this URL; its own URL is set."""
    parts = urlsplit(broker)
    relay = Relay(*_place(broker), server)
    login = f"{parts.username}:{parts.password}@" if parts.username else ""
    relay.url = urlunsplit(parts._replace(netloc=f"{login}{relay.address}:{relay.port}"))
    return relay


def _place(broker: str) -> tuple[str, int]:
    parts = urlsplit(broker)
    return parts.hostname or "127.0.0.1", parts.port or {"redis": 6379}.get(parts.scheme, 5672)


def _pass_on(
    source: socket.socket,
    target: socket.socket,
    passes: threading.Event,
    count: Callable[[int], None] = lambda passed: None,
) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            passes.wait()
            target.sendall(data)
            count(len(data))
    passes.wait()
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
