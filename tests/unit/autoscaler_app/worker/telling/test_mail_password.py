"""The password for the mail server goes to that server alone: over checked TLS, or on this machine."""

from __future__ import annotations

import shutil
import smtplib
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from autoscaler_app.worker.telling import sending
from tests.conftest import missing

ALARM = {"matter": "m", "text": "t", "at": "now", "pass": 1}
LOGIN = "AUTH"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key."""
    if shutil.which("openssl") is None:
        missing("no openssl to make a certificate with", "PATH")
    folder = tmp_path_factory.mktemp("mail")
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=mail -addext subjectAltName=IP:127.0.0.1"
    key, file = folder / "key.pem", folder / "mail.pem"
    subprocess.run(
        ["openssl", *words.split(), "-keyout", str(key), "-out", str(file)], check=True, capture_output=True
    )
    file.write_text(key.read_text() + file.read_text())
    return file


@pytest.fixture
def serve() -> Iterator[Callable[..., tuple[int, list[str]]]]:
    """A mail server, with TLS (on request, or from the start) if it has a context: its port, what it got."""
    servers: list[socketserver.TCPServer] = []

    def start(
        context: ssl.SSLContext | None = None, *, from_the_start: bool = False
    ) -> tuple[int, list[str]]:
        got: list[str] = []

        class Mail(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with suppress(OSError):
                    if from_the_start:
                        self.talk_secretly(greet=True)
                    else:
                        self.talk(self.request)

            def talk_secretly(self, greet: bool) -> None:
                assert context is not None
                with context.wrap_socket(self.request, server_side=True) as link:
                    self.talk(link, greet)

            def talk(self, link: Any, greet: bool = True) -> None:
                with link.makefile("rb") as lines:
                    self.listen(link, lines, greet)

            def listen(self, link: Any, lines: Any, greet: bool) -> None:
                if greet:
                    link.sendall(b"220 here\r\n")
                while line := lines.readline().decode().strip():
                    verb = line.split()[0].upper()
                    got.append(("tls " if isinstance(link, ssl.SSLSocket) else "") + verb)
                    if verb == "EHLO":
                        tls = b"250-STARTTLS\r\n" if context and not isinstance(link, ssl.SSLSocket) else b""
                        link.sendall(b"250-here\r\n" + tls + b"250 AUTH PLAIN\r\n")
                    elif verb == "STARTTLS":
                        link.sendall(b"220 go on\r\n")
                        self.talk_secretly(greet=False)
                        return
                    elif verb == "DATA":
                        link.sendall(b"354 go on\r\n")
                        while lines.readline() != b".\r\n":
                            pass
                        link.sendall(b"250 yes\r\n")
                    elif verb == "QUIT":
                        link.sendall(b"221 bye\r\n")
                        return
                    else:
                        link.sendall(b"235 yes\r\n" if verb == LOGIN else b"250 yes\r\n")

        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mail)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server.server_address[1], got

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is on another machine."""
    monkeypatch.setattr(sending, "_HERE", ())


def context_of(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def address(port: int, scheme: str = "smtp") -> str:
    return f"{scheme}://me:secret@127.0.0.1:{port}/ops@example.com"


@pytest.mark.usefixtures("elsewhere")
def test_a_server_elsewhere_without_tls_is_told_no_password(serve: Callable[..., Any]) -> None:
    port, got = serve()
    with pytest.raises(smtplib.SMTPNotSupportedError):
        sending.send(address(port), ALARM)
    assert LOGIN not in got
    sending.send(f"smtp://127.0.0.1:{port}/ops@example.com", ALARM)
    assert "DATA" in got, "without a password nothing is given away"


def test_on_this_machine_it_needs_none(serve: Callable[..., Any]) -> None:
    port, got = serve()
    sending.send(address(port), ALARM)
    assert LOGIN in got


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_only_who_has_the_right_certificate_is_told(
    serve: Callable[..., Any], certificate: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    port, got = serve(context_of(certificate), from_the_start=scheme == "smtps")
    with pytest.raises(ssl.SSLCertVerificationError):
        sending.send(address(port, scheme), ALARM)
    assert not [line for line in got if LOGIN in line]
    sending.send(f"{scheme}://127.0.0.1:{port}/ops@example.com", ALARM)
    assert got.pop().startswith("tls "), "a certificate of its own is better than none"
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    sending.send(address(port, scheme), ALARM)
    assert {f"tls {LOGIN}", "tls DATA"} <= set(got)
    assert LOGIN not in got
