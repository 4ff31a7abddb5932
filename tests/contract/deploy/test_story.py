"""A cluster of machines in boxes: cluster-init, the units, and the story of a cluster's life."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cyclecloud_emulator import Emulator, load, replace
from tests.conftest import wait_until
from tests.contract.deploy.box import SUBNET, Machine, Network

pytestmark = pytest.mark.by_hand

ROOT = Path(__file__).resolve().parents[3]
SPECS = ROOT / "deploy" / "cyclecloud" / "specs"
SECRET = "the-secret-of-the-nodes-" + os.urandom(6).hex()
CLOUD_PASSWORD = 'it\'s "the" $cloud`s ' + os.urandom(6).hex()
SHELL = "source /opt/cycle/scalelib/venv/celery/bin/activate && cd /root && "
PYTEST = f"{sys.executable} -m pytest -q -p no:cacheprovider -c /dev/null --rootdir /mnt/cluster-init"

WRITTEN = (
    "/opt/celery-autoscaler /opt/cycle /etc/celery-autoscaler /etc/systemd/system /root/*.py /usr/local/sbin"
)
"""Where the scripts write."""
TREE = (
    f"find {WRITTEN} /var/lib/celery-autoscaler/secrets "
    "-not -name '*.pyc' -not -name __pycache__ -not -name '.*'"
)
LISTING = (
    f"{TREE} -printf '%p %m %u:%g %l\\n' | sort; "
    f"{TREE} -type f -not -path '*/venv/*' -print0 | sort -z | xargs -0 sha256sum"
)


@dataclass
class Cluster:
    """The broker node, the cloud, and what the nodes are made of."""

    broker: Machine
    emulator: Emulator
    network: Network
    folder: Path
    blobs: Path
    printed: list[str] = field(default_factory=list)
    """Everything that scripts have printed."""

    def sh(self, command: str, seconds: float = 120) -> str:
        """In root's shell on the broker node, as the docs say. If it fails, what is known is told."""
        try:
            return self.broker.says(SHELL + command, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.evidence()}") from error

    def node(self, hostname: str) -> Machine:
        """A node that is up, by its host name."""
        folder = self.folder / "nodes" / hostname
        machine = Machine(self.network, 100, folder, self.blobs, SPECS)
        machine.name, machine.pid = hostname, int((folder / "pid").read_text())
        return machine

    def up(self) -> list[str]:
        """The host names of nodes whose scripts have ended well."""
        return [
            path.parent.name for path in (self.folder / "nodes").glob("*/converge") if path.stat().st_size
        ]

    def evidence(self) -> str:
        """What a failed test wants to know."""
        told = [path.read_text()[-1500:] for path in self.emulator.folder.glob("*/worker.log")]
        told += [path.read_text()[-1500:] for path in (self.folder / "nodes").glob("*/converge")]
        for path in (self.folder / "nodes").glob("*/pid"):
            told.append(self.node(path.parent.name).run("journalctl -n 30 --no-pager").stdout)
        return "\n".join([self.broker.run("autoscaler status; journalctl -n 40 --no-pager").stdout, *told])


@pytest.fixture
def cluster(blobs: Path, tmp_path: Path) -> Iterator[Cluster]:
    network = Network(f"bx{os.getpid() % 100000}")
    with ExitStack() as stack:
        stack.enter_context(network)
        broker = Machine(network, 10, tmp_path / "broker", blobs, SPECS)
        stack.callback(broker.stop)
        told = {"celery.broker.host": broker.address, "celery.broker.node_secret": SECRET}
        settings = tmp_path / "node.json"
        settings.write_text(
            json.dumps({"network": network.name, "folder": str(tmp_path / "nodes"), "blobs": str(blobs),
                        "specs": str(SPECS), "config": told})
        )  # fmt: skip
        nodes = {
            "command": [sys.executable, str(Path(__file__).with_name("node.py")), str(settings),
                        "{hostname}", "{private_ip}", "{vm_size}", "{nodearray}"],
            "boot_seconds": 3, "terminate_seconds": 2, "grace_seconds": 20,
        }  # fmt: skip
        emulator = stack.enter_context(
            Emulator.start(replace(load(), nodes=nodes), password=CLOUD_PASSWORD, host=f"{SUBNET}.1")
        )
        broker.start(
            {
                "celery.broker.kind": "redis",
                "celery.broker.node_secret": SECRET,
                "celery.cyclecloud.url": emulator.url,
                "celery.cyclecloud.username": "emulator",
                "celery.cyclecloud.password": CLOUD_PASSWORD,
                "cyclecloud.cluster.name": "celery",
                "celery.autoscale.enabled": "True",
                "celery.autoscale.interval": "5",
                "celery.autoscale.idle_timeout": "60",  # `jetpack test` runs on a node that is there
            }
        )
        yield Cluster(broker, emulator, network, tmp_path, blobs)


@pytest.mark.timeout(900)
def test_a_cluster_grows_works_shrinks_and_tells_no_secret(cluster: Cluster) -> None:
    """From the template's parameters to nothing left: the story that the docs tell."""
    cluster.printed.append(cluster.broker.converge("default", "broker"))
    before = cluster.broker.says(LISTING)
    cluster.printed.append(cluster.broker.converge("default", "broker"))
    assert cluster.broker.says(LISTING) == before, "run twice: the same tree, the same modes"

    # The user's own steps.
    cluster.sh("python add_task.py --count 4 --seconds 2")
    cluster.sh("python check_tasks.py --wait --timeout 300", 330)
    assert "'ok': True" in cluster.sh("python autoscale.py")

    # `jetpack test`, on each role.
    cluster.printed.append(
        cluster.broker.says(f"{PYTEST} /mnt/cluster-init/*/cluster-init/tests/test_[bd]*.py")
    )
    (hostname, *_) = cluster.up()
    node = cluster.node(hostname)
    cluster.printed.append(node.says(f"{PYTEST} /mnt/cluster-init/*/cluster-init/tests/test_[wd]*.py"))
    node_before = node.says(LISTING)
    cluster.printed.append(node.converge("default", "worker"))
    assert node.says(LISTING) == node_before
    assert "httpx" not in node.says("ls /opt/celery-autoscaler/venv/lib/python3*/site-packages")

    # Nobody but who needs it reads a secret, and no log has one.
    secrets = secrets_of(cluster)
    assert len(secrets) >= 6
    cluster.printed += [machine.says("journalctl --no-pager -o cat") for machine in (cluster.broker, node)]
    cluster.printed += [machine.says("ps axww -o args") for machine in (cluster.broker, node)]
    cluster.printed += [machine.says("systemctl show 'celery-*'") for machine in (cluster.broker, node)]
    places = "/etc /opt/celery-autoscaler /opt/cycle/scalelib /var/lib/celery* /usr/local/sbin"
    readable = f"find {places} -type f -perm /004 -newer /etc/hostname"
    cluster.printed += [
        machine.says(f"{readable} -not -path '*/site-packages/*' -exec cat {{}} +")
        for machine in (cluster.broker, node)
    ]
    for secret in secrets:
        assert not [text for text in cluster.printed if secret in text], "a secret was told"

    # It goes as it came.
    wait_until(lambda: not cluster.emulator.nodes(), seconds=180, every=0.5, what="nodes that go")
    actions = json.loads(cluster.broker.says("autoscaler journal --last 100 --json"))
    assert "proven" in json.dumps(actions) or "deleted" in json.dumps(actions)


def secrets_of(cluster: Cluster) -> list[str]:
    """Every password that there is."""
    names = cluster.broker.says("ls /var/lib/celery-autoscaler/secrets").split()
    plain = [name for name in names if "." not in name]
    found = [cluster.broker.says(f"cat /var/lib/celery-autoscaler/secrets/{name}").strip() for name in plain]
    return [secret for secret in found if secret]
