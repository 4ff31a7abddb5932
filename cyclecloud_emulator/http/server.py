"""The HTTP server: sockets in, `Request` out, `Answer` back; as broken as the answer says."""

from __future__ import annotations

import contextlib
import logging
import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cyclecloud_emulator.message import Answer, Request

log = logging.getLogger(__name__)

_HOST = re.compile(r"[A-Za-z0-9._:\[\]-]*")
Respond = Callable[[Request], Answer]
MOST_BODY = 64 * 1024 * 1024
MOST_HEADERS = 16 * 1024
"""Requests with longer headers are refused, as the product does since 8.7.1."""
KEPT_SECONDS, ARRIVES_SECONDS = 60.0, 10.0
"""So long may a connection be silent between two requests, and in the middle of one."""
UNKNOWN_SECONDS = 1.0
"""So long may a body take of somebody who does not say who he is."""
MOST_CONNECTIONS = 2000
"""Each has a thread; who comes when there are so many is sent away."""
REOPEN_SECONDS = 30.0
"""How long to try to get the port back that was closed for a moment."""


class Server:
    """Listens, and hands each request to `respond`. Can be closed and opened again on the same port."""

    def __init__(
        self,
        host: str,
        port: int,
        respond: Respond,
        *,
        base_path: str = "",
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._host = host
        self._respond = respond
        self._base_path = base_path
        self._tls = tls
        self.clock = clock
        """What the Date header says."""
        self._http = _Http((host, port), self)
        self.port = int(self._http.server_address[1])
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Address of the server, with the base path."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}{self._base_path}"

    def start(self) -> None:
        """Answer from now on."""
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, name="emulator-http", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Close the port and every connection."""
        if self._thread is not None:
            self._http.shutdown()
            self._thread.join()
            self._thread = None
        self._http.server_close()
        self._http.close_connections()

    def reopen(self) -> None:
        """Listen on the same port again, after `stop`."""
        deadline = time.monotonic() + REOPEN_SECONDS
        while True:
            try:
                self._http = _Http((self._host, self.port), self)
                break
            except OSError:
                # A connection from this machine to anywhere may have been given the port meanwhile.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        self.start()

    def respond(self, request: Request) -> Answer:
        """What to answer."""
        return self._respond(request)

    @property
    def base_path(self) -> str:
        """Prefix of every path."""
        return self._base_path

    @property
    def tls(self) -> ssl.SSLContext | None:
        """Set if the server speaks HTTPS."""
        return self._tls


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], owner: Server) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.owner = owner
        self._connections: set[socket.socket] = set()
        self._connections_lock = threading.Lock()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # The inherited method looks the host name up, which can take seconds without a name server.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._connections_lock:
            is_full = len(self._connections) >= MOST_CONNECTIONS
            self._connections |= set() if is_full else {request}
        if is_full:
            self.shutdown_request(request)
        else:
            super().process_request(request, client_address)

    def finish_request(self, request: Any, client_address: Any) -> None:
        # The TLS handshake happens in the connection's own thread, so that a slow one holds nobody up.
        if self.owner.tls is None:
            super().finish_request(request, client_address)
            return
        request.settimeout(ARRIVES_SECONDS)
        with contextlib.suppress(OSError), self.owner.tls.wrap_socket(request, server_side=True) as wrapped:
            with self._connections_lock:
                self._connections.add(wrapped)
            try:
                super().finish_request(wrapped, client_address)
            finally:
                with self._connections_lock:
                    self._connections.discard(wrapped)

    def shutdown_request(self, request: Any) -> None:
        with self._connections_lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.warning("connection failed", exc_info=True)

    def close_connections(self) -> None:
        """End connections that are kept alive, so that their threads end."""
        with self._connections_lock:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "CycleCloudEmulator"
    sys_version = ""
    disable_nagle_algorithm = True
    server: _Http

    def handle_one_request(self) -> None:
        self.connection.settimeout(KEPT_SECONDS)
        super().handle_one_request()

    def parse_request(self) -> bool:
        self.connection.settimeout(ARRIVES_SECONDS)
        return super().parse_request()

    def _any(self) -> None:
        try:
            self._serve()
        except (ConnectionError, TimeoutError):
            # The client went away; there is nobody left to tell.
            self.close_connection = True
        except Exception:
            log.exception("request failed")
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = do_TRACE = _any

    def _serve(self) -> None:
        if sum(len(name) + len(value) + 4 for name, value in self.headers.items()) > MOST_HEADERS:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            return
        # Who stands between may read a header in another way that is not understood, or is there twice.
        if self.headers.defects or not _HOST.fullmatch(self.headers.get("Host", "")):
            self._refuse(HTTPStatus.BAD_REQUEST)
            return
        body = self._body()
        if body is None:
            return
        base = self.server.owner.base_path
        path, _, query = self.path.partition("#")[0].partition("?")
        if base and not path.startswith(base + "/"):
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        answer = self.server.owner.respond(
            Request(
                method=self.command,
                path=path[len(base) :],
                query=query,
                body=body,
                authorization=self.headers.get("Authorization"),
                metadata=self.headers.get("Metadata"),
                content_type=self.headers.get("Content-Type", ""),
                base_url=self._own_address() + base,
            )
        )
        self._send(answer)

    def _own_address(self) -> str:
        """Where this connection came in. Not what the header Host says: that is anybody's word, and would be
        repeated to whoever is led on by it.
        """
        host, port = self.connection.getsockname()[:2]
        scheme = "https" if self.server.owner.tls else "http"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    def _body(self) -> bytes | None:
        """The body; None if it cannot be read, and the client was told."""
        if "Transfer-Encoding" in self.headers:
            self._refuse(HTTPStatus.LENGTH_REQUIRED)
            return None
        text, *more = self.headers.get_all("Content-Length", ["0"])
        if more or not (text.isascii() and text.isdigit()):
            self._refuse(HTTPStatus.BAD_REQUEST)
            return None
        if int(text) > MOST_BODY:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return None
        if "Authorization" not in self.headers:
            self.connection.settimeout(min(UNKNOWN_SECONDS, ARRIVES_SECONDS))
        try:
            return self.rfile.read(int(text))
        except TimeoutError:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
            return None

    def _refuse(self, status: HTTPStatus) -> None:
        """An answer of the web server itself, before the application is asked."""
        self.close_connection = True
        self._send(Answer(status=status, body=status.phrase.encode(), content_type="text/plain"))

    def _send(self, answer: Answer) -> None:
        if answer.delay:
            self._wait(answer.delay)
        if answer.drop:
            self.close_connection = True
            return
        self.send_response(answer.status)
        if answer.body:
            self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if self.close_connection or answer.cut is not None:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[: answer.cut])

    def _wait(self, seconds: float) -> None:
        """Wait, but no longer than the client does."""
        deadline = time.monotonic() + seconds
        if isinstance(self.connection, ssl.SSLSocket):
            # Nothing can be peeked at under TLS.
            time.sleep(seconds)
        while (left := deadline - time.monotonic()) > 0:
            readable, _, _ = select.select([self.connection], [], [], left)
            if readable and not self.connection.recv(1, socket.MSG_PEEK):
                raise ConnectionResetError("the client did not wait")
            if readable:
                # A second request behind the first: nothing more to watch for.
                time.sleep(max(0.0, deadline - time.monotonic()))

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string(self.server.owner.clock() if timestamp is None else timestamp)

    def log_message(self, format: str, *args: object) -> None:
        log.debug("request", extra={"line": format % args})
