"""What runs a node: the facts that it is told, and the protocol of the fleets that run them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

WORDS = (
    "python", "app", "node_id", "name", "hostname", "private_ip", "cluster", "nodearray", "vm_size", "region",
    "vcpus", "pcpus", "gpus", "memory_gib",
)  # fmt: skip
"""What may stand in braces in the command of a node."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """A machine that is up, as the software on it can see it."""

    node_id: str
    name: str
    hostname: str
    private_ip: str
    cluster: str
    nodearray: str
    vm_size: str
    region: str
    zone: str
    spot: bool
    placement_group: str | None
    vcpus: int
    pcpus: int
    gpus: int
    memory_gib: float
    app: str
    metadata_url: str = ""
    """Where it is told of what the cloud has in mind with it; empty for nowhere."""

    def words(self) -> dict[str, str]:
        """The machine's facts under `WORDS`."""
        return {
            "python": sys.executable,
            "app": self.app,
            "node_id": self.node_id,
            "name": self.name,
            "hostname": self.hostname,
            "private_ip": self.private_ip,
            "cluster": self.cluster,
            "nodearray": self.nodearray,
            "vm_size": self.vm_size,
            "region": self.region,
            "vcpus": str(self.vcpus),
            "pcpus": str(self.pcpus),
            "gpus": str(self.gpus),
            "memory_gib": f"{self.memory_gib:g}",
        }

    def resources(self) -> dict[str, float]:
        """The counters of the machine, by the names that tasks ask for them."""
        return {
            "ncpus": self.vcpus,
            "pcpus": self.pcpus,
            "ngpus": self.gpus,
            "memgb": self.memory_gib,
        }

    def properties(self) -> dict[str, object]:
        """What is true of the machine without being counted."""
        return {
            "node.vm_size": self.vm_size,
            "node.nodearray": self.nodearray,
            "node.location": self.region,
            "node.spot": self.spot,
            "node.placement_group": self.placement_group,
        }

    def environment(self, folder: str) -> dict[str, str]:
        """How `celery_resources` on the node learns all that."""
        told = {"CELERY_RESOURCES_METADATA_URL": self.metadata_url} if self.spot and self.metadata_url else {}
        return told | {
            "CELERY_RESOURCES": ",".join(f"{name}={value:g}" for name, value in self.resources().items()),
            "CELERY_RESOURCES_PROPERTIES": json.dumps(self.properties()),
            "CELERY_RESOURCES_STATE": folder,
        }


WorkerExit = Callable[[str, int], None]
"""Called with the node id and the exit code when a worker ended that nobody had stopped."""


class Fleet(Protocol):
    """What runs on the nodes. Methods return at once; the work goes on behind them."""

    def start(self, machine: Machine) -> None:
        """Start the worker of a node that is up."""

    def stop(self, node_id: str, grace: float) -> None:
        """The machine goes away: end everything on it, by force after `grace` seconds."""

    def busy(self, node_id: str) -> bool:
        """Whether anything of that node still runs."""

    def kill_worker(self, node_id: str) -> bool:
        """End the worker by force, as a crash would; False if the node has none."""

    def adopt(self, node_id: str) -> bool:
        """Take over what an earlier emulator left running on the node; False if there is nothing."""

    def end_others(self, known: Collection[str]) -> None:
        """End what an earlier emulator left running on nodes that are not known any more."""

    def close(self, *, keep: bool = False) -> None:
        """End everything, by force, and wait until it is gone; `keep`: let go on what can."""


class NoFleet:
    """Nodes on which nothing runs."""

    def start(self, machine: Machine) -> None:
        """Nothing to start."""

    def stop(self, node_id: str, grace: float) -> None:
        """Nothing to stop."""

    def busy(self, node_id: str) -> bool:
        """Never."""
        return False

    def kill_worker(self, node_id: str) -> bool:
        """There is none."""
        return False

    def adopt(self, node_id: str) -> bool:
        """There is nothing."""
        return False

    def end_others(self, known: Collection[str]) -> None:
        """There are none."""

    def close(self, *, keep: bool = False) -> None:
        """Nothing to end."""
