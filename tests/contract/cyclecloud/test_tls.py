"""TLS: verified by default, an authority of one's own accepted, switched off only on request."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cyclecloud_api import CycleCloudClient, errors
from cyclecloud_emulator import Emulator, load, replace
from tests.conftest import missing


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, as CycleCloud makes one for itself."""
    if shutil.which("openssl") is None:
        missing("no openssl to make a certificate with", "PATH")
    folder = tmp_path_factory.mktemp("tls")
    words = (
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    )
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(["openssl", *words.split(), *files], check=True, capture_output=True)
    return folder


@pytest.fixture
def emulator(certificate: Path) -> Iterator[Emulator]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    with Emulator.start(replace(load(), nodes={"kind": "none"}), password="secret", tls=context) as made:
        yield made


def ask(emulator: Emulator, verify: bool | Path) -> str:
    with CycleCloudClient(
        emulator.url, emulator.user, "secret", "celery", verify=verify, timeout=30
    ) as client:
        return client.status().state


def test_an_unknown_certificate_is_refused_and_the_error_says_what_to_do(emulator: Emulator) -> None:
    with pytest.raises(errors.Unreachable, match="give it as `ca_file`") as caught:
        ask(emulator, True)
    assert not caught.value.sent


def test_a_ca_file_is_accepted(emulator: Emulator, certificate: Path) -> None:
    assert ask(emulator, certificate / "cert.pem") == "Started"


def test_switched_off_it_works_with_a_warning(emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    assert ask(emulator, False) == "Started"
    assert "NOT verified" in caplog.text
