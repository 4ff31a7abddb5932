"""A relay between a node and its broker, so that a test can cut the node's connections and no others."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable


class Relay:
    """Listens on a port of its own and passes bytes on, until it is cut; then it takes new connections."""

    def __init__(self, host: str, port: int) -> None:
        self.url = ""
        self.refuses = False
        """Whether who comes is sent away, as by a broker that is about to start."""
        self.refused = 0
        self.passed_back = 0
        """Bytes that came from the broker and were passed on."""
        self._target = (host, port)
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def cut(self) -> int:
        """Break every connection now; how many there were."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        return len(pairs)

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
            far = socket.create_connection(self._target)
            with self._lock:
                self._pairs.append((near, far))
            thread = threading.Thread(target=self._serve, args=(near, far), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, near: socket.socket, far: socket.socket) -> None:
        back = threading.Thread(target=_pass_on, args=(far, near, self._count), daemon=True)
        back.start()
        _pass_on(near, far)
        back.join()
        near.close()
        far.close()

    def _count(self, passed: int) -> None:
        with self._lock:
            self.passed_back += passed


def _pass_on(
    source: socket.socket, target: socket.socket, count: Callable[[int], None] = lambda passed: None
) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
            count(len(data))
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
