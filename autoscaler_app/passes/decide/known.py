"""What is known of each node and of its host, now: heard or not, with room or none, idle, late. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from autoscaler_app.passes.hosts import short_name
from autoscaler_app.passes.snapshot import HostSeen, Snapshot
from autoscaler_app.settings import Autoscaler
from scalelib.node import Node, NodeId, NodeState
from scalelib.policy import Policy
from scalelib.provider import Cloud


@dataclass(frozen=True, kw_only=True)
class Known:
    """The cloud parsed, and hosts matched with nodes."""

    snapshot: Snapshot
    policy: Policy
    autoscaler: Autoscaler
    cloud: Cloud
    host_of: Mapping[NodeId, HostSeen]

    def node(self, node_id: NodeId) -> Node:
        """The node as the cloud reports it."""
        return self._nodes[node_id]

    @cached_property
    def _nodes(self) -> dict[NodeId, Node]:
        return {node.id: node for node in self.cloud.nodes}

    def is_silent(self, host: HostSeen) -> bool:
        """It was heard once, and then not for longer than a healthy host can be."""
        heard = host.heard_seconds_ago
        return heard is not None and heard > self.autoscaler.silent_timeout and host.on_its_way != "left"

    def is_hungry(self, host: HostSeen) -> bool:
        """It is hungry: work waits in its queues, it has room, and starts nothing."""
        return host.hungry_seconds is not None and host.hungry_seconds > self.autoscaler.hunger_timeout

    def has_room(self, host: HostSeen) -> bool:
        """What it has free is room for work: not where nothing is known of it. What waits gets a new node
        then, which is surplus later if this one speaks again.
        """
        untold = host.heard_seconds_ago if host.untold_seconds is None else host.untold_seconds
        is_known = untold is not None and untold <= self.autoscaler.told_within
        return is_known and not (host.evicted or self.is_silent(host) or self.is_hungry(host))

    def is_heard(self, host: HostSeen) -> bool:
        """What it said is fresh enough to act on."""
        return host.heard_seconds_ago is not None and (host.heard_seconds_ago <= self.autoscaler.told_within)

    def is_unknown(self, host: HostSeen) -> bool:
        """Its workers are there, as far as anybody knows, and what they do is not known now."""
        return host.on_its_way in ("serving", "fenced") and not self.is_heard(host)

    def last_active(self, node_id: NodeId) -> datetime | None:
        """When something last ran there or was meant for it: what ran between two looks counts as well."""
        times, host = self.snapshot.history.get(node_id), self.host_of.get(node_id)
        active = None if times is None else times.last_active
        if active is None or host is None or host.worked_seconds_ago is None:
            return active
        return max(active, self.snapshot.now - timedelta(seconds=host.worked_seconds_ago))

    def is_idle(self, node: Node) -> bool:
        """Nothing ran there or was meant for it for its idle timeout."""
        active = self.last_active(node.id)
        return active is not None and self.snapshot.now - active >= self.policy.idle_timeout(node.nodearray)

    def joins_late(self, node: Node) -> bool:
        """Ready for longer than a worker needs to come up, while we listened, and never heard."""
        times = self.snapshot.history.get(node.id)
        if not node.is_ready or node.id in self.host_of or times is None or times.ready is None:
            return False
        if any(short_name(name) in self._nobodys for name in (node.hostname, node.private_ip) if name):
            return False
        return self.unheard_for(node) > timedelta(seconds=self.autoscaler.join_timeout)

    def unheard_for(self, node: Node) -> timedelta:
        """How long a node of which nothing was heard has been Ready while we listened; nothing if unknown."""
        times = self.snapshot.history.get(node.id)
        if times is None or times.ready is None:
            return timedelta()
        return self.snapshot.now - max(times.ready, self.snapshot.listening_since or times.ready)

    @cached_property
    def _nobodys(self) -> frozenset[str]:
        """Names of hosts that are heard, or may be, and that more than one node claims."""
        somebodys = {host.hostname for host in self.host_of.values()}
        return frozenset(
            short_name(host.hostname)
            for host in self.snapshot.hosts
            if host.hostname not in somebodys and not self.is_silent(host)
        )


def is_ended_by_the_cloud(node: Node) -> bool:
    """It is going, or gone, whatever anybody here decides."""
    return not node.wanted or node.state.is_leaving or node.state in (NodeState.OFF, NodeState.TERMINATED)
