"""Over TLS, and as a user who may do no more than docs/redis_keeper.md says."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from kombu import Connection

from tests.conftest import missing
from tests.contract.redis_keeper.holders import bodies, got, holding, put

Connect = Callable[..., Connection]

DOCS = Path(__file__).resolve().parents[3] / "docs/redis_keeper.md"
_, _, _found = DOCS.read_text(encoding="utf-8").partition("\n    resetchannels ")
RIGHTS = "resetchannels " + _found.partition("\n\n")[0].replace("QUEUE", "q")
"""What the docs say, of the one queue."""


class TLS:
    """A port with TLS before the server's, which has none."""

    def __init__(self, url: str, certificate: Path, key: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        parts = urlsplit(url)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 6379)
        self._server = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self.spoken = 0
        """Connections over which the handshake was done."""
        port = self._server.getsockname()[1]
        self.url = f"rediss://127.0.0.1:{port}{parts.path}?ssl_cert_reqs=required&ssl_ca_certs={certificate}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for each in (self._server, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with (
            suppress(OSError),
            self._context.wrap_socket(plain, server_side=True) as near,
            socket.create_connection(self._target) as far,
        ):
            self.spoken += 1
            self._open |= {near, far}
            back = threading.Thread(target=_pass, args=(far, near), daemon=True)
            back.start()
            _pass(near, far)
            back.join()


def _pass(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def tls(url: str, tmp_path: Path) -> Iterator[TLS]:
    if shutil.which("openssl") is None:
        missing("no openssl to make a certificate with", "PATH")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj"),
            *("/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-out", str(certificate), "-keyout", str(key)),
        ],
        check=True,
        capture_output=True,
    )
    relay = TLS(url, certificate, key)
    yield relay
    relay.close()


@contextmanager
def one_who_may(server: redis.Redis, rights: str) -> Iterator[str]:
    """The name of a user with these rights; the password is `s3cret`."""
    name = f"keeper-{uuid.uuid4().hex[:8]}"
    server.execute_command("ACL", "SETUSER", name, "on", ">s3cret", *rights.split())
    try:
        yield name
    finally:
        server.execute_command("ACL", "DELUSER", name)


def test_over_tls_the_dead_are_seen_and_nothing_is_lost(
    tls: TLS, connect: Connect, server: redis.Redis
) -> None:
    connection = connect(tls.url)
    put(connection, *range(5))
    with holding(tls.url, "q", 3) as holder:
        holder.wait()
        holder.kill()
        assert sorted(bodies(got(connection, 5))) == [0, 1, 2, 3, 4]
    assert server.hlen("unacked") == server.llen("q") == 0
    assert tls.spoken >= 4, "consumer and sign of life, of both"


@pytest.mark.parametrize("without", ["", "&__redis__:invalidate", "+client|tracking"])
def test_the_rights_of_the_docs_are_enough(
    url: str, connect: Connect, server: redis.Redis, without: str
) -> None:
    parts = urlsplit(url)
    with one_who_may(server, RIGHTS.replace(without, "")) as name, ExitStack() as stack:
        mine = parts._replace(netloc=f"{name}:s3cret@{parts.hostname}:{parts.port}").geturl()
        connection = connect(mine)
        put(connection, *range(4))
        server.lpush("q", "garbage")
        holder = stack.enter_context(holding(mine, "q", 2))
        holder.wait()
        holder.kill()
        assert sorted(bodies(got(connection, 4))) == [0, 1, 2, 3]
        assert server.lrange("unacked.set_aside.q", 0, -1) == [b"garbage"]
        connection.close()
    assert server.hlen("unacked") == server.llen("q") == 0


@pytest.mark.parametrize("missing", ["&unacked.alive.*", "~unacked*", "+evalsha"])
def test_without_one_of_them_it_says_so_and_loses_nothing(
    url: str, connect: Connect, server: redis.Redis, missing: str
) -> None:
    put(connect(), "one")
    parts = urlsplit(url)
    with one_who_may(server, RIGHTS.replace(missing, "")) as name:
        mine = parts._replace(netloc=f"{name}:s3cret@{parts.hostname}:{parts.port}").geturl()
        poor: Any = connect(mine)
        with pytest.raises((redis.ResponseError, AssertionError), match=r"(?i)perm|0 of 1 came"):
            got(poor, 1, seconds=3)
        poor.close()
    assert (server.llen("q"), server.hlen("unacked")) == (1, 0)
