"""A cluster's life from the form that a person fills in to nothing left, on machines in boxes."""

from __future__ import annotations

import itertools
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.contract.deploy.box import Machine
from tests.contract.deploy.cluster import (
    CLOUD_PASSWORD,
    PROJECT,
    PYTEST,
    SHELL,
    TESTS,
    WAY,
    Cluster,
    cluster_in_a_box,
)

pytestmark = pytest.mark.by_hand

DOCS = PROJECT.parents[1] / "docs/deploy.md"
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
JOURNAL = "journalctl --no-pager _TRANSPORT=stdout _TRANSPORT=journal _TRANSPORT=syslog"
STOLEN = "/var/lib/celery-autoscaler/secrets"


@pytest.mark.timeout(1800)
def test_a_cluster_grows_works_shrinks_and_tells_no_secret(tmp_path: Path, blobs: Path) -> None:
    with cluster_in_a_box(tmp_path, blobs) as cluster:
        for seconds in (0.3, 2, 5, 8):
            cluster.broker.converge_and_be_killed(seconds, "default", "broker")
        cluster.converge()
        left = "-name '.new.*' -o -name 'venv.*' -o -name 'celery-autoscaler.*'"
        assert not cluster.broker.says(f"find {WRITTEN} {STOLEN} /var/tmp {left}"), "killed four times"
        once = cluster.broker.says(LISTING)
        cluster.converge()
        assert cluster.broker.says(LISTING) == once, "run twice: the same tree, the same modes"

        # The user's own steps.
        cluster.sh("python add_task.py --count 4 --seconds 1")
        cluster.sh("python check_tasks.py --wait --timeout 400", 430)
        cluster.makes_a_pass()
        assert {where for _, where in cluster.tasks().values()} <= set(cluster.made())

        # `jetpack test` on each role, and a node's scripts twice, while no node is ended.
        cluster.sh("python add_task.py --seconds 90")
        cluster.until(cluster.at_work, 300, "a task at work")
        cluster.sh("autoscaler pause")
        node = cluster.node(cluster.newest())
        cluster.printed.append(cluster.broker.says(f"{PYTEST} {TESTS}/test_d*.py /root/test_broker.py"))
        once = node.says(LISTING)
        cluster.printed += [node.converge("default", "worker"), node.says(f"{PYTEST} {TESTS}/test_[wd]*.py")]
        assert node.says(LISTING) == once
        assert "httpx" not in node.says("ls /opt/celery-autoscaler/venv/lib/python3*/site-packages")
        a_person_starts_a_worker_by_hand(cluster)
        no_secret_is_told(cluster, node)

        # A node that loses power joins again by itself.
        cluster.reboot(node.name)
        node = cluster.node(node.name)
        node.says("/opt/celery-autoscaler/bin/worker-answers 240")

        # It goes as it came: proven empty, drained, ended.
        cluster.sh("autoscaler resume")
        cluster.until(lambda: not cluster.emulator.nodes(), 300, "nodes that go")
        assert cluster.way_of_a_node() == WAY
        what_came_after_a_backup_is_gone_when_it_is_put_back(cluster)
        written = lambda: len(list(tmp_path.glob("nodes/*/journal"))) == len(cluster.made())  # noqa: E731
        cluster.until(written, 180, "their ends")
        journals = {path.parent.name: path.read_text() for path in tmp_path.glob("nodes/*/journal")}
        for secret in secrets_of(cluster):
            assert not [name for name, text in journals.items() if secret in text]


def a_person_starts_a_worker_by_hand(cluster: Cluster) -> None:
    """`celery -A tasks worker -D`, as the text has it, on the broker node: it answers, and is stopped."""
    cluster.sh("celery -A tasks worker -D")
    ask = f"{SHELL} celery -A tasks inspect ping --timeout 5 --destination celery@{cluster.broker.name}"
    cluster.until(lambda: cluster.broker.run(ask).returncode == 0, 90, "it answers")
    cluster.sh("pkill -o -f '[t]asks worker'")
    there = "pgrep -f '[t]asks worker'"
    cluster.until(lambda: cluster.broker.run(there).returncode == 1, 90, "its end")


def what_came_after_a_backup_is_gone_when_it_is_put_back(cluster: Cluster) -> None:
    """By the commands of docs/deploy.md."""
    (known,) = cluster.json("journal --last 1")
    cluster.broker.says(f"set -e\n{commands_of('Backup')}")
    cluster.sh("autoscaler pause")
    cluster.broker.says(f"set -e\n{commands_of('Restore')}")
    assert known in cluster.json("journal --last 500")
    assert "PAUSED" not in cluster.sh("autoscaler status")
    cluster.makes_a_pass()


def commands_of(title: str) -> str:
    """The block of commands that docs/deploy.md has under this title."""
    _, _, text = DOCS.read_text().partition(f"**{title}.**")
    lines = itertools.dropwhile(lambda line: not line.startswith("    "), text.splitlines())
    return "\n".join(
        line.strip() for line in itertools.takewhile(lambda line: line.startswith("    "), lines)
    )


def no_secret_is_told(cluster: Cluster, node: Machine) -> None:
    """Nobody but who needs it reads a secret, and neither an output nor a log nor a command line has one."""
    secrets = secrets_of(cluster)
    assert len(secrets) >= 10
    machines, texts = (cluster.broker, node), list(cluster.printed)
    for command in (
        "journalctl --no-pager -o cat _TRANSPORT=stdout _TRANSPORT=journal _TRANSPORT=syslog",
        "ps axww -o args",
        "systemctl show 'celery-*'",
    ):
        texts += [machine.says(command) for machine in machines]
    texts += [path.read_text() for path in cluster.emulator.folder.rglob("*.log")]
    places = "/etc /opt/celery-autoscaler /opt/cycle/scalelib /var/lib/celery* /usr/local/sbin /var/log /root"
    readable = f"find {places} -type f -perm /004 -newer /etc/hostname -not -path '*/site-packages/*'"
    texts += [machine.says(f"{readable} -exec cat {{}} +") for machine in machines]
    for secret in secrets:
        assert not [text for text in texts if secret in text], "a secret was told"
    # Those who may read it: root, and whoever is handed it by systemd.
    for user in ("celery-control", "celery-broker", "nobody"):
        assert cluster.broker.run(f"setpriv --reuid {user} --clear-groups ls {STOLEN}").returncode, user
    assert node.run(f"setpriv --reuid celery --clear-groups ls {STOLEN}").returncode


def secrets_of(cluster: Cluster) -> set[str]:
    """Every password that there is, also as it stands in an address."""
    names = cluster.broker.says(f"ls {STOLEN}").split()
    plain = [cluster.broker.says(f"cat {STOLEN}/{name}").strip() for name in names if "." not in name]
    assert CLOUD_PASSWORD in plain
    key = cluster.broker.says("cat /var/lib/celery-autoscaler/state/autoscaler.key").strip().splitlines()[-1]
    known = {secret for secret in [*plain, cluster.parameters["NodeSecret"], key] if secret}
    return known | {quote(secret, safe="") for secret in known} | {secret[:24] for secret in known}
