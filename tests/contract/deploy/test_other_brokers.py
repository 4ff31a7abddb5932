"""RabbitMQ, TLS, and brokers that are elsewhere: the same life, and no other ports than are told."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import missing, wait_until
from tests.contract.deploy.box import Network
from tests.contract.deploy.cluster import PYTEST, TESTS, WAY, Cluster, broker_node, cluster_in_a_box
from tests.rabbitmq import VARIABLE, RabbitMQ, server_program
from tests.unit.deploy.rights import make_secrets, rabbitmq_permissions, redis_users

pytestmark = pytest.mark.by_hand


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("kind", "tls", "ports"),
    [
        ("rabbitmq", False, {"127.0.0.1:5672", "{address}:5672", "127.0.0.1:4369", "127.0.0.1:25672"}),
        ("rabbitmq", True, {"*:5671", "127.0.0.1:4369", "127.0.0.1:25672"}),
        ("redis", True, set()),
    ],
    ids=["rabbitmq", "rabbitmq-tls", "redis-tls"],
)
def test_a_cluster_with(kind: str, tls: bool, ports: set[str], tmp_path: Path, blobs: Path) -> None:
    more: dict[str, object] = {"BrokerKind": kind}
    if tls:
        more |= certificate(tmp_path, f"{Network().subnet}.10")
    with cluster_in_a_box(tmp_path / "cluster", blobs, **more) as cluster:
        cluster.converge()
        cluster.converge()
        expected = {each.format(address=cluster.broker.address) for each in ports}
        redis = {f"{ip}:6379" for ip in ("127.0.0.1", cluster.broker.address)}
        assert listening(cluster) == expected | redis | {"127.0.0.1:8787"}
        cluster.sh("python add_task.py --count 2 --seconds 1")
        cluster.done(2, 400, "tasks")
        cluster.makes_a_pass()
        cluster.broker.says(f"{PYTEST} {TESTS}/test_d*.py /root/test_broker.py")

        # Off in the form; then on again, on a new machine whose users have other numbers, with the volume.
        cluster.told_again(Autoscale=False)
        cluster.converge()
        assert "PAUSED" in cluster.sh("autoscaler status")
        cluster.sh("python add_task.py --count 2 --seconds 1")
        sent = cluster.broker.says("cat /root/worker_tasks_sent.jsonl")
        cluster.broker.stop()
        cluster.broker = broker_node(cluster.network, cluster.folder, generation=2)
        cluster.parameters["Autoscale"] = True
        cluster.broker.start(cluster.config_of("broker"))
        cluster.broker.says("useradd --system other-1 && useradd --system other-2")
        cluster.converge()
        cluster.broker.says(f"cat >/root/worker_tasks_sent.jsonl <<'END'\n{sent}END")
        cluster.done(4, 400, "tasks, of before and after")
        cluster.until(lambda: not cluster.emulator.nodes(), 300, "nodes that go")


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("scheme", ["rediss", "amqp"])
def test_a_cluster_whose_broker_is_elsewhere(scheme: str, tmp_path: Path, blobs: Path) -> None:
    """A service with an address, and a user for each side: none of it runs on the broker node."""
    address = f"{Network().subnet}.1"
    tls = certificate(tmp_path, address)
    secrets = make_secrets(tmp_path)
    with contextlib.ExitStack() as stack:
        more = {"BrokerKind": "managed"} | {name: tls[name] for name in ("BrokerTls", "BrokerTlsCa")}
        cluster = stack.enter_context(cluster_in_a_box(tmp_path / "cluster", blobs, **more))
        stack.enter_context(redis_elsewhere(address, secrets))
        redis = f"rediss://{{}}:{{}}-s3cret@{address}:6380/0"
        urls = {role: redis.format(role, role) for role in ("control", "node")}
        results = None
        if scheme == "amqp":
            urls, results = stack.enter_context(rabbitmq_elsewhere(address, secrets)), urls["node"]
        cluster.told_again(
            ControlBrokerUrl=urls["control"], NodeBrokerUrl=urls["node"], ResultBackend=results
        )
        cluster.converge()
        cluster.converge()
        assert listening(cluster) == {"127.0.0.1:8787"}
        cluster.sh("python add_task.py --count 2 --seconds 1")
        cluster.done(2, 400, "tasks")
        cluster.makes_a_pass()
        cluster.printed.append(cluster.broker.says(f"{PYTEST} {TESTS}/test_d*.py /root/test_broker.py"))
        cluster.until(lambda: not cluster.emulator.nodes(), 300, "nodes that go")
        assert cluster.way_of_a_node() == WAY
        journals = [path.read_text() for path in tmp_path.glob("cluster/nodes/*/journal")]
        assert not [text for text in [*cluster.printed, *journals] if "-s3cret" in text]


@contextlib.contextmanager
def redis_elsewhere(address: str, secrets: Path) -> Iterator[None]:
    """A Redis with TLS that knows the users of docs/security.md."""
    program, folder = shutil.which("redis-server"), secrets.parent
    if program is None:
        missing("no redis-server on this machine", "PATH")
    (folder / "users.acl").write_text("\n".join(redis_users.lines(secrets, ["celery"])) + "\n")
    words = {
        "bind": address, "port": "0", "tls-port": "6380", "tls-auth-clients": "no", "dir": str(folder),
        "tls-cert-file": str(folder / "cert.pem"), "tls-key-file": str(folder / "key.pem"),
        "aclfile": str(folder / "users.acl"), "save": "",
    }  # fmt: skip
    command = [program, *(word for name, value in words.items() for word in (f"--{name}", value))]
    with (folder / "redis.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: "Ready to accept" in (folder / "redis.log").read_text(), what="Redis elsewhere")
        yield
    finally:
        server.terminate()
        server.wait(30)


@contextlib.contextmanager
def rabbitmq_elsewhere(address: str, secrets: Path) -> Iterator[dict[str, str]]:
    """A RabbitMQ with the rights of docs/security.md; the address for each side."""
    program = server_program()
    if program is None:
        missing("no RabbitMQ of the tests' own can be started here", VARIABLE)
    server = RabbitMQ(program, secrets.parent / "rabbitmq", address)
    try:
        url = server.new_vhost()
        given = rabbitmq_permissions(secrets.parent)
        for role in ("control", "node"):
            server.add_user(role, f"{role}-s3cret", "", url, given[role])
        yield {role: url.replace("guest:guest", f"{role}:{role}-s3cret") for role in ("control", "node")}
    finally:
        server.close()


def listening(cluster: Cluster) -> set[str]:
    """Every address on which something listens on the broker node, but for the box's own."""
    told = cluster.broker.says("ss -Hltn").splitlines()
    found = {line.split()[3] for line in told}
    return {re.sub(r"^(\[::\]|0\.0\.0\.0):", "*:", each) for each in found if "169.254" not in each}


def certificate(folder: Path, address: str) -> dict[str, object]:
    """What the form wants for TLS: a certificate for the broker node's address, which vouches for itself."""
    name = "ip-" + "".join(f"{int(part):02X}" for part in address.split("."))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=broker",
         "-addext", f"subjectAltName=IP:{address},DNS:{name}", "-addext", "basicConstraints=critical,CA:TRUE",
         "-out", folder / "cert.pem", "-keyout", folder / "key.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    cert, key = ((folder / each).read_text() for each in ("cert.pem", "key.pem"))
    return {"BrokerTls": True, "BrokerTlsCa": cert, "BrokerTlsCertificate": cert, "BrokerTlsKey": key}
