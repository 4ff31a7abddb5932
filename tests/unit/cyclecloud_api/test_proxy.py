"""No proxy reads the password: for https it passes on what it cannot read, for http it is not used."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest

from cyclecloud_api.client import CycleCloudClient
from scalelib.errors import CloudUnreachable


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str | None]]]:
    """What a proxy that the environment names is asked, and the `Authorization` that it sees."""
    seen: list[tuple[str, str | None]] = []

    class Proxy(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            seen.append((f"{self.command} {self.path}", self.headers.get("Authorization")))
            self.send_error(502)

        do_GET = do_CONNECT = answer

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{server.server_port}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        yield seen
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_never_sees_the_password(asked: list[tuple[str, str | None]], scheme: str) -> None:
    with (
        CycleCloudClient(f"{scheme}://cyclecloud.invalid", "u", "topsecret", "c", timeout=3) as client,
        pytest.raises(CloudUnreachable),
    ):
        client.status()
    assert {authorization for _, authorization in asked} <= {None}
    assert {request for request, _ in asked} == (
        {"CONNECT cyclecloud.invalid:443"} if scheme == "https" else set()
    )
