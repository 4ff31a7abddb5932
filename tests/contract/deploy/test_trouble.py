"""What befalls a cluster: a reboot, a cut link, an eviction, an upgrade, another secret. No task is lost."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.contract.deploy.cluster import PROJECT, Cluster, broker_node, cluster_in_a_box
from tests.contract.deploy.conftest import copy_of_repository, make_dist

pytestmark = pytest.mark.by_hand

ROOT = PROJECT.parents[1]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
UNITS = ("celery-broker", "celery-control", "celery-beat", "celery-page")


SECRET = "/var/lib/celery-autoscaler/secrets/control"
SENT = "/root/worker_tasks_sent.jsonl"


@pytest.mark.timeout(1800)
def test_a_reboot_a_link_that_is_cut_and_a_broker_node_made_anew(tmp_path: Path, blobs: Path) -> None:
    with cluster_in_a_box(tmp_path, blobs) as cluster:
        cluster.converge()
        cluster.sh("python add_task.py --count 6 --seconds 40")
        cluster.until(lambda: cluster.at_work() >= 2, 300, "tasks at work")

        # Rebooted by pulling its plug: everything comes up by itself.
        cluster.broker.off()
        cluster.broker.boot()
        cluster.until(lambda: _are_active(cluster), 180, "the units of the broker node, after a reboot")
        cluster.done(6, 300, "every task, over the reboot")

        # A node is cut off for a minute, in the middle of a task.
        cluster.sh("python add_task.py --count 1 --seconds 90")
        cluster.until(cluster.at_work, 300, "a task at work")
        host = cluster.until(lambda: _host_of_the_task(cluster), 60, "the node that has it")
        before = {node.id for node in cluster.emulator.nodes()}
        cluster.cut(host, seconds=60)
        cluster.done(7, 200, "the task of a node that was cut off for a minute")
        assert host in cluster.up(), "a minute of silence ends no node that works"
        assert {node.id for node in cluster.emulator.nodes()} <= before

        # A new machine with the volume and the address of the one before: tasks that wait are there.
        cluster.sh("python add_task.py --count 2 --seconds 1")
        secret, sent = (cluster.broker.says(f"cat {path}") for path in (SECRET, SENT))
        cluster.broker.stop()
        cluster.broker = broker_node(cluster.network, tmp_path, generation=2)
        cluster.broker.start(cluster.config_of("broker"))
        cluster.converge()
        assert cluster.broker.says(f"cat {SECRET}") == secret
        cluster.broker.says(f"cat >{SENT} <<'END'\n{sent}END")
        cluster.sh("python add_task.py --count 1 --seconds 1")
        cluster.done(10, 300, "what waited, and what came after")
        cluster.until(lambda: not cluster.emulator.nodes(), 300, "nodes that go")


def _host_of_the_task(cluster: Cluster) -> str:
    """Of the one that runs."""
    return next((host for state, host in cluster.tasks().values() if state == "STARTED"), "")


def _are_active(cluster: Cluster) -> bool:
    return not any(cluster.broker.run(f"systemctl is-active --quiet {unit}").returncode for unit in UNITS)


@pytest.mark.timeout(1800)
def test_an_eviction_with_thirty_seconds_notice(tmp_path: Path, blobs: Path) -> None:
    """What can end in fifteen seconds does; what cannot is given back, and begins again elsewhere."""
    with cluster_in_a_box(tmp_path, blobs, arrays=("spot",)) as cluster:
        cluster.converge()
        cluster.sh("python add_task.py --count 1 --seconds 120")
        cluster.until(lambda: cluster.at_work() == 1, 300, "a task on one of the two processors of a node")
        cluster.sh("python add_task.py --count 1 --seconds 12")
        cluster.until(lambda: cluster.at_work() == 2, 30, "a task on the other, while it lasts")
        host = cluster.newest()
        cluster.tell_cloud(cluster.node_id(host), "evict", notice=30)
        machine = cluster.node(host)
        obeyed = "journalctl --unit box-cloud --output cat --no-pager | grep ^obeyed"
        _, event, code, seconds = cluster.until(
            lambda: machine.run(obeyed).stdout.split(), 40, "the script of an eviction"
        )
        assert (event, code) == ("Preempt", "0")
        assert float(seconds) < 25, "within the notice"
        cluster.done(2, 400, "both tasks")
        long, short = (where for _, where in cluster.tasks().values())
        assert long != host, "it ran elsewhere"
        assert short == host, "it was let end"
        cluster.until(lambda: not cluster.emulator.nodes(), 300, "nodes that go")


@pytest.mark.timeout(1800)
def test_an_upgrade_beside_old_nodes_a_changed_secret_and_the_way_back(tmp_path: Path, blobs: Path) -> None:
    newer, older = made_as("9.9.9", tmp_path / "newer"), PROJECT
    with cluster_in_a_box(tmp_path / "cluster", blobs, IdleTimeout=60) as cluster:
        cluster.converge()
        old = cluster.parameters["NodeSecret"]
        cluster.sh("python add_task.py --count 2 --seconds 420")
        cluster.until(lambda: cluster.at_work() >= 2, 300, "tasks on a node of the old version")
        host = cluster.newest()

        # The new version is uploaded, and the secret changed with it; the node of before works on.
        cluster.upload(newer)
        cluster.told_again(PreviousNodeSecret=old, NodeSecret="another-secret-of-the-nodes-0123456789")
        cluster.converge()
        assert cluster.broker.says("cat /opt/celery-autoscaler/venv/.complete") == "celery-broker-9.9.9"
        cluster.sh("python add_task.py --count 2 --seconds 2")
        cluster.until(lambda: len(cluster.up()) == 2, 300, "a node of the new version, beside the old one")
        new = cluster.up()[-1]
        assert cluster.node(host).says("cat /opt/celery-autoscaler/version") == f"{VERSION}\n"
        assert cluster.node(new).says("cat /opt/celery-autoscaler/version") == "9.9.9\n"
        cluster.done(4, 700, "tasks of both nodes")
        assert {where for _, where in cluster.tasks().values()} == {host, new}
        cluster.until(lambda: not cluster.emulator.nodes(), 400, "nodes of both versions, which go")
        journals = "\n".join(path.read_text() for path in cluster.folder.glob("nodes/*/journal"))
        assert journals.count(" received\n") == 4, "nobody was cut off, nothing ran twice"

        # The old secret ends, and the old version comes back.
        cluster.told_again(PreviousNodeSecret="")
        cluster.upload(older)
        cluster.converge()
        assert cluster.broker.says("cat /opt/celery-autoscaler/venv/.complete") == f"celery-broker-{VERSION}"
        acl = cluster.broker.says("grep 'user node ' /etc/celery-autoscaler/redis-users.acl")
        assert sum(word.startswith("#") for word in acl.split()) == 1
        cluster.sh("python add_task.py --count 1 --seconds 1")
        cluster.done(5, 300, "a task after the way back")


def made_as(version: str, folder: Path) -> Path:
    """`deploy/cyclecloud` of a copy of this repository at another version, as `make dist` leaves it."""
    pyproject = copy_of_repository(folder) / "pyproject.toml"
    pyproject.write_text(
        pyproject.read_text().replace(f'\nversion = "{VERSION}"', f'\nversion = "{version}"')
    )
    make_dist(folder)
    return folder / "deploy/cyclecloud"
