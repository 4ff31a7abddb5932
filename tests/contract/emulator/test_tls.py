"""The emulator can speak HTTPS, with a certificate that nobody has signed."""

import shutil
import ssl
import subprocess

import httpx
import pytest

from cyclecloud_emulator import Emulator, load, replace
from tests.conftest import missing


@pytest.fixture
def certificate(tmp_path):
    """A certificate for 127.0.0.1 and its key."""
    if shutil.which("openssl") is None:
        missing("no openssl to make a certificate with", "PATH")
    files = (tmp_path / "cert.pem", tmp_path / "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=emulator",
         "-addext", "subjectAltName=IP:127.0.0.1", "-out", str(files[0]), "-keyout", str(files[1])],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return files


def test_a_client_that_trusts_the_certificate_is_served_and_another_is_not(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with Emulator.start(replace(load(), nodes={"kind": "none"}), password="x", tls=context) as emulator:
        address = f"{emulator.url}/clusters/celery/status"
        assert address.startswith("https://127.0.0.1:")
        trusting = ssl.create_default_context(cafile=str(certificate[0]))
        assert httpx.get(address, auth=emulator.auth, verify=trusting).status_code == 200
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(address, auth=emulator.auth)
        with pytest.raises(httpx.TransportError):
            httpx.get(address.replace("https", "http"), auth=emulator.auth)
        assert httpx.get(address, auth=emulator.auth, verify=trusting).status_code == 200
