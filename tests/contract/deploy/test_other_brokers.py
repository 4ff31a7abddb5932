"""The broker node with RabbitMQ, and with TLS: the same life, and no other ports than those that are told."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.contract.deploy.box import Network
from tests.contract.deploy.cluster import Cluster, broker_node, cluster_in_a_box

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
        assert "'ok': True" in cluster.sh("python autoscale.py")

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
