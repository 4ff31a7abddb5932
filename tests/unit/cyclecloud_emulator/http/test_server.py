"""The server gets its port back, also where somebody had it meanwhile."""

from __future__ import annotations

import socket
import threading
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
