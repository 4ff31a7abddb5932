"""Everything the server remembers. Plain data; who may change it holds the emulator's lock."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

from cyclecloud_emulator.cluster.costs import Costs
from cyclecloud_emulator.cluster.limits import Usage, usage_of
from cyclecloud_emulator.cluster.node import Node
from cyclecloud_emulator.settings import Settings
from cyclecloud_emulator.trouble.mishaps import Mishaps

_BUCKET_NAMES = uuid.UUID("7a3b8f0e-5c57-4d55-9a3c-5f5b7a1f0a11")
CAPACITY_MEMORY_SECONDS = 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """Something that was asked for and accepted."""

    id: str
    action: str
    started_at: float
    cluster: str
    request_id: str | None
    node_ids: tuple[str, ...]


@dataclass(kw_only=True, slots=True)
class State:
    """Nodes, operations, request ids, capacity failures, and the settings in force."""

    settings: Settings
    nodes: dict[str, Node] = field(default_factory=dict)
    """By NodeId."""
    names: dict[tuple[str, str], Node] = field(default_factory=dict)
    """By cluster and name."""
    operations: dict[str, Operation] = field(default_factory=dict)
    requests: dict[tuple[str, str], str] = field(default_factory=dict)
    """Operation ids by scope and request id."""
    capacity_failures: dict[str, float] = field(default_factory=dict)
    """When the cloud last had no machine, by the key of `capacity_key`."""
    stopped_clusters: set[str] = field(default_factory=set)
    highest_number: dict[tuple[str, str], int] = field(default_factory=dict)
    machines_made: int = 0
    addresses_made: int = 0
    addresses: set[int] = field(default_factory=set)
    metadata_url: str = ""
    """Below which each node has its metadata service; empty for none."""
    mishaps: Mishaps = field(default_factory=Mishaps)
    ledger: Costs = field(default_factory=Costs)
    seen_usage: tuple[float, Usage] | None = None
    """Consumed numbers as last read from the cloud, and when."""

    def add(self, node: Node) -> None:
        """Make a record."""
        self.nodes[node.id] = node
        self.names[(node.cluster, node.name)] = node
        self.ledger.created += 1

    def remove(self, node: Node) -> None:
        """Drop a record."""
        del self.nodes[node.id]
        del self.names[(node.cluster, node.name)]
        self.ledger.removed += 1

    def nodes_of(self, cluster: str) -> Iterator[Node]:
        """Nodes of a cluster, oldest first."""
        return (node for node in self.nodes.values() if node.cluster == cluster)

    def usage(self) -> Usage:
        """What is in use now."""
        return usage_of(self.nodes.values(), but_leaving=self.settings.quirks.available_ignores_terminating)

    def shown_usage(self, now: float, fresh: Usage) -> Usage:
        """What the server believes to be consumed: as old as the quirk says."""
        age = self.settings.quirks.quota_age_seconds
        if self.seen_usage is None or now - self.seen_usage[0] >= age:
            self.seen_usage = (now, fresh)
        return self.seen_usage[1]

    def capacity_key(self, cluster: str, nodearray: str, vm_size: str, spot: bool) -> str:
        """Under which name a capacity failure is remembered: by size in the region, or by bucket."""
        kind = "spot" if spot else "regular"
        if self.settings.quirks.throttle_scope == "size":
            return f"{self.settings.region}/{vm_size}/{kind}"
        return f"{cluster}/{nodearray}/{vm_size}/{kind}"

    def seconds_since_capacity_failure(self, key: str, now: float) -> float:
        """-1.0 for never, or for longer ago than the server remembers."""
        failed = self.capacity_failures.get(key)
        if failed is None or now - failed > CAPACITY_MEMORY_SECONDS:
            return -1.0
        return now - failed

    def remember(self, operation: Operation, now: float) -> None:
        """Keep an operation and its request id, and forget those that are too old."""
        self.forget_old(now)
        self.operations[operation.id] = operation
        if operation.request_id:
            self.requests[self._request_key(operation.cluster, operation.request_id)] = operation.id

    def operation_of_request(self, cluster: str, request_id: str, now: float) -> Operation | None:
        """The operation that carried this request id, if the server remembers it."""
        self.forget_old(now)
        operation_id = self.requests.get(self._request_key(cluster, request_id))
        return None if operation_id is None else self.operations.get(operation_id)

    def forget_old(self, now: float) -> None:
        """Drop operations older than the quirk allows."""
        limit = self.settings.quirks.operation_seconds
        if not limit:
            return
        for operation in [o for o in self.operations.values() if now - o.started_at > limit]:
            del self.operations[operation.id]
        self.requests = {key: id_ for key, id_ in self.requests.items() if id_ in self.operations}

    def _request_key(self, cluster: str, request_id: str) -> tuple[str, str]:
        scope = cluster if self.settings.quirks.request_scope == "cluster" else ""
        return (scope, request_id)


def bucket_id(cluster: str, nodearray: str, vm_size: str) -> str:
    """The same for as long as there is such a bucket, also in another run of the emulator."""
    return str(uuid.uuid5(_BUCKET_NAMES, f"{cluster}/{nodearray}/{vm_size}"))
