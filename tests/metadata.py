"""The metadata service of a machine, by which its cloud announces that it will take it back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest


class Service(ThreadingHTTPServer):
    """A metadata service of a machine named vm_3."""

    events: list[dict[str, Any]]

    def __init__(self) -> None:
        self.events = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Service

    def do_GET(self) -> None:
        if self.headers.get("Metadata") != "true" or "api-version=" not in self.path:
            self.send_error(400)
            return
        if not self.path.startswith("/metadata/"):
            self.send_error(404)
            return
        name = self.path.startswith("/metadata/instance/compute/name?")
        body = "vm_3" if name else json.dumps({"DocumentIncarnation": 1, "Events": self.server.events})
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as made:
        thread = Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def event(**changes: Any) -> dict[str, Any]:
    return {"EventId": "1", "EventType": "Preempt", "Resources": ["vm_3"], **changes}
