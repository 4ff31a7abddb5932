"""A cluster of machines in boxes: the broker node, the emulator as the cloud, and nodes that it makes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec

from cyclecloud_emulator import Emulator, load
from cyclecloud_emulator.settings import from_mapping
from tests.conftest import wait_until
from tests.contract.deploy.box import Machine, Network, node_number, run
from tests.unit.deploy.told import told

PROJECT = Path(__file__).resolve().parents[3] / "deploy" / "cyclecloud"
CLOUD_PASSWORD = 'it\'s "the" $cloud`s ' + os.urandom(6).hex()
SHELL = "source /opt/cycle/scalelib/venv/celery/bin/activate && cd /root && "
PYTEST = f"{sys.executable} -m pytest -q -p no:cacheprovider -c /dev/null --rootdir /mnt/cluster-init"
"""What `jetpack test` runs, with the one of here."""
TESTS = "/mnt/cluster-init/*/cluster-init/tests"
WAY = ["launch", "fence", "shut-down", "delete"]
"""Of a node that comes, is proven empty, and goes."""
ARRAYS = {
    "htc": {"sizes": ["Standard_F2s_v2"], "max_count": 4},
    "spot": {"sizes": ["Standard_F2s_v2"], "max_count": 4, "spot": True},
}
FILLED_IN = {
    "Region": "westeurope",
    "SubnetId": "group/net/sub",
    "Credentials": "mine",
    "CycleCloudUser": "emulator",
    "CycleCloudPassword": CLOUD_PASSWORD,
    "AutoscaleInterval": 3,
    "IdleTimeout": 5,
    # Here a node is Ready before its scripts have run, and a busy machine takes its time over them.
    "AutoscaleSettings": '{"autoscaler": {"join_timeout": 900}}',
}
"""What a person fills into the form; the rest are its defaults."""


@dataclass
class Cluster:
    """All of it, and everything that it has printed."""

    broker: Machine
    emulator: Emulator
    network: Network
    folder: Path
    parameters: dict[str, Any]
    printed: list[str] = field(default_factory=list)

    def converge(self) -> None:
        """Run the scripts of the broker node, as jetpack would."""
        try:
            self.printed.append(self.broker.converge("default", "broker"))
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.evidence()}") from error

    def sh(self, command: str, seconds: float = 300) -> str:
        """In root's shell on the broker node, as the docs say. If it fails, what is known is told."""
        try:
            answer = self.broker.says(SHELL + command, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.evidence()}") from error
        self.printed.append(answer)
        return answer

    def makes_a_pass(self) -> None:
        """Asked by the program of the user's text; a pass that beat had asked for just before covers that."""
        answer = self.sh("python autoscale.py")
        assert "'ok': True" in answer or "'covered_by': " in answer, answer

    def json(self, command: str) -> Any:
        """What `autoscaler COMMAND --json` says."""
        return json.loads(self.broker.says(f"autoscaler {command} --json"))

    def until(self, condition: Any, seconds: float, what: str) -> Any:
        """The first true value; if there is none, what is known is told."""
        try:
            return wait_until(condition, seconds=seconds, every=1, what=what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.evidence()}") from error

    def told_again(self, **parameters: object) -> None:
        """The form is filled in anew: every machine that is made or converges from now on hears of it."""
        self.parameters |= parameters
        self.broker.configure(self.config_of("broker"))
        known = {
            "network": self.network.name, "folder": str(self.folder / "nodes"), "cloud": self.emulator.url,
            "blobs": str(self.folder / "locker/blobs"), "specs": str(self.folder / "locker/specs"),
            "told": {array: self.config_of(array) for array in ARRAYS},
        }  # fmt: skip
        (self.folder / "node.json").write_text(json.dumps(known))

    def config_of(self, node: str) -> dict[str, str]:
        """What the template makes of the form for this node."""
        template = (self.folder / "locker/celery.txt").read_text()
        filled_in = {**self.parameters, "CycleCloudUrl": self.emulator.url}
        given = told(template, node, filled_in, broker__instance__privateip=self.broker.address)
        return {**given, "cyclecloud.cluster.name": "celery"}

    def node(self, hostname: str) -> Machine:
        """A node that is up, by its host name."""
        folder = self.folder / "nodes" / hostname
        machine = Machine(self.network, 100, folder, Path(), Path(), name=hostname)
        machine.pid = int((folder / "pid").read_text())
        return machine

    def up(self) -> list[str]:
        """The host names of nodes that are there and whose scripts have ended well, oldest first."""
        there = {node.hostname for node in self.emulator.nodes()}
        found = (self.folder / "nodes").glob("*/converge")
        made = sorted(found, key=lambda path: path.stat().st_mtime)
        return [path.parent.name for path in made if path.parent.name in there]

    def newest(self) -> str:
        """The last of them, as soon as there is one: a worker may be at work before its node is Ready."""
        return str(self.until(self.up, 300, "a node whose scripts have ended")[-1])

    def made(self) -> list[str]:
        """The host names of all nodes that there ever were."""
        return [path.parent.name for path in (self.folder / "nodes").glob("*/pid")]

    def node_id(self, hostname: str) -> str:
        """The cloud's id of a node that is there."""
        (found,) = (node.id for node in self.emulator.nodes() if node.hostname == hostname)
        return found

    def tell_cloud(self, node_id: str, action: str, **more: object) -> None:
        """What the emulator's admin endpoint does to a node."""
        answer = httpx.post(
            f"{self.emulator.url}/emulator/nodes", auth=self.emulator.auth,
            json={"node": node_id, "action": action, **more},
        )  # fmt: skip
        assert answer.status_code == 200, answer.text

    def upload(self, project: Path) -> None:
        """What `cyclecloud project upload` and an import of the template change: blobs of before stay."""
        locker = self.folder / "locker"
        for spec in (locker / "specs").iterdir():  # the folder itself is mounted on the machines
            shutil.rmtree(spec)
        shutil.copytree(project / "specs", locker / "specs", dirs_exist_ok=True)
        for blob in (project / "blobs").glob("*.tar.gz"):
            shutil.copy(blob, locker / "blobs")
        shutil.copy(project / "templates/celery.txt", locker)
        self.told_again()

    def tasks(self) -> dict[str, tuple[str, str]]:
        """State and host of every task that add_task.py sent."""
        answer = json.loads(self.broker.run(SHELL + "python check_tasks.py --json", 200).stdout)
        return {task["id"]: (task["state"], task["host"]) for task in answer["tasks"]}

    def log(self) -> str:
        """What the workers of all nodes that are there have said; had more quickly than what Celery knows.
        Also of those whose scripts have not ended: on a busy machine a worker can be done before they are.
        """
        command = "journalctl --unit celery-worker --output cat --no-pager"
        there = {node.hostname for node in self.emulator.nodes()}
        return "".join(self.node(host).run(command).stdout for host in self.made() if host in there)

    def at_work(self) -> int:
        """How many tasks the nodes that are there have taken and not ended."""
        log = self.log()
        return log.count(" received\n") - log.count(" succeeded in ")

    def done(self, tasks: int, seconds: float, what: str) -> None:
        """Every task that add_task.py sent ends well, and there are so many."""
        self.sh(f"python check_tasks.py --wait --timeout {seconds} >/dev/null || true", seconds + 60)
        assert self.counts() == {"SUCCESS": tasks}, f"{what}\n{self.evidence()}"

    def counts(self) -> Counter[str]:
        """How many of them are in which state."""
        return Counter(state for state, _ in self.tasks().values())

    def way_of_a_node(self) -> list[str]:
        """What passes did with nodes and it went well, each kind of deed once, in the order of the first."""
        done = [
            action["kind"]
            for report in reversed(self.json("journal --last 500"))
            for action in report["actions"]
            if action["ok"]
        ]
        return [kind for kind in dict.fromkeys(done) if kind in WAY]

    def reboot(self, hostname: str) -> None:
        """This node loses power, and gets it again."""
        folder = self.folder / "nodes" / hostname
        before = (folder / "pid").read_text()
        os.kill(int((folder / "manager").read_text()), signal.SIGUSR1)
        self.until(lambda: (folder / "pid").read_text() not in ("", before), 300, "it is up again")

    def cut(self, hostname: str, seconds: float) -> None:
        """Nothing comes from this node or goes to it, for so long."""
        (address,) = (node.private_ip for node in self.emulator.nodes() if node.hostname == hostname)
        cable = f"{self.network.name}v{node_number(str(address))}"
        run("ip", "link", "set", cable, "down")
        time.sleep(seconds)  # what is tried is a time
        run("ip", "link", "set", cable, "up")

    def evidence(self) -> str:
        """What a failed test wants to know."""
        heard = [path.read_text()[-1500:] for path in self.emulator.folder.glob("*/worker.log")]
        for host in self.up():
            with contextlib.suppress(OSError):
                heard.append(f"{host}\n{self.node(host).run('journalctl -n 40 --no-pager').stdout}")
        own = "autoscaler status; autoscaler journal --last 3; journalctl -n 40 --no-pager"
        return "\n".join([self.broker.run(own).stdout if self.broker.pid else "", *heard])


@contextlib.contextmanager
def cluster_in_a_box(
    folder: Path, blobs: Path, *, arrays: Collection[str] = ("htc",), **parameters: object
) -> Iterator[Cluster]:
    """Network, cloud and a broker node that has not converged yet. `arrays`: those that have
    machines; `parameters`: of the template."""
    locker = folder / "locker"
    folder.mkdir(exist_ok=True)
    shutil.copytree(PROJECT / "specs", locker / "specs")
    shutil.copytree(blobs, locker / "blobs")
    shutil.copy(PROJECT / "templates/celery.txt", locker)
    (folder / "volume").mkdir()
    nodes = {
        "command": [sys.executable, str(Path(__file__).with_name("node.py")), str(folder / "node.json"),
                    "{hostname}", "{private_ip}", "{vm_size}", "{nodearray}", "{node_id}"],
        "boot_seconds": 1, "terminate_seconds": 1, "grace_seconds": 60,
    }  # fmt: skip
    clusters = {"celery": {"nodearrays": {name: ARRAYS[name] for name in arrays}}}
    settings = from_mapping({**msgspec.to_builtins(load()), "clusters": clusters, "nodes": nodes})
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(Network())
        address = f"{network.subnet}.1"
        emulator = stack.enter_context(Emulator.start(settings, password=CLOUD_PASSWORD, host=address))
        broker = broker_node(network, folder)
        stack.callback(lambda: cluster.broker.stop())
        cluster = Cluster(broker, emulator, network, folder, {**FILLED_IN, **parameters})
        cluster.parameters.setdefault("NodeSecret", "the-secret-of-the-nodes-" + os.urandom(6).hex())
        broker.start(cluster.config_of("broker"))
        cluster.told_again()
        yield cluster


def broker_node(network: Network, folder: Path, generation: int = 1) -> Machine:
    """A machine for the broker, with the volume of the one before."""
    own, locker = folder / f"broker{generation}", folder / "locker"
    return Machine(network, 10, own, locker / "blobs", locker / "specs", volume=folder / "volume")
