"""An app whose tasks Celery signs (its serializer `auth`): what crosses to the control side is JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

SEND = """
import json, sys
from types import SimpleNamespace
from celery import Celery
from kombu import Queue
from celery_resources import Requirement, with_resources
from celery_resources.insides.wire import Understood
from celery_resources.sending import board

app = with_resources(Celery("signed", broker="memory://"))
app.conf.update(
    task_serializer="auth", event_serializer="auth", accept_content=["auth"],
    resource_control_queue="autoscale",
    security_key="key", security_certificate="cert", security_cert_store="cert",
)
app.setup_security()  # of the whole process: Celery reads nothing else from now on
app.send_task("t", constraints={"ncpus": 2})
board.post(app, "res:ncpus=3", Requirement({"ncpus": 3}))
Understood(SimpleNamespace(app=app, options={"resources": "ncpus=4"}))
found = {"board": [need.to_json() for need in board.read(app).values()], "accept": app.control.mailbox.accept}
with app.connection_for_read() as connection:
    for name in ("autoscale.notes", "res:ncpus=2"):
        queue = Queue(name)(connection.default_channel)
        queue.queue_declare()
        message = queue.get(no_ack=True, accept=None)
        body = message.body if isinstance(message.body, str) else message.body.decode()
        found[name] = [message.content_type, body]
print(json.dumps(found))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a key and a certificate, as Celery wants them."""
    key, now = rsa.generate_private_key(public_exponent=65537, key_size=2048), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    cert = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    (tmp_path / "key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    (tmp_path / "cert").write_bytes(cert.public_bytes(pem))
    return tmp_path


def test_notes_kinds_and_questions_stay_json_and_tasks_are_signed(folder: Path) -> None:
    root = str(Path(__file__).resolve().parents[4])
    program = f"import sys; sys.path.insert(0, {root!r})\n{SEND}"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=60, check=True
    )
    found = json.loads(done.stdout)
    content_type, note = found["autoscale.notes"]
    assert content_type == "application/json"
    assert json.loads(note) == {
        "kind": "announce",
        "queue": "res:ncpus=2",
        "requirement": {"constraints": {"ncpus": 2}},
    }
    assert found["board"] == [{"constraints": {"ncpus": 3}}]
    assert "json" in found["accept"], "a node reads what the control side asks"
    assert found["res:ncpus=2"][0] == "application/data", "the user's own tasks are as the app has set"
