"""What keeps a node that would go from being ended now, and what ends that. Pure.

No hold is for ever: each ends by evidence, or goes on a few at a time after a deadline, and is a warning
while it stands. `passes/decide/guards.py` has them in one table with all the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cached_property

from autoscaler_app.passes import way_out
from autoscaler_app.passes.decide.known import is_ended_by_the_cloud
from autoscaler_app.passes.decide.situation import Situation
from autoscaler_app.passes.plan import DeleteReason
from autoscaler_app.passes.snapshot import HostSeen
from scalelib.node import Node, NodeId

STRANGERS_COUNT_FOR = 4
"""Times `join_timeout` for which a worker that runs nothing and is on no node may be that of one."""


class Holds:
    """The holds of one decision."""

    def __init__(self, situation: Situation) -> None:
        self._situation = situation
        self._held: dict[str, set[str]] = {}
        """Names of nodes, by the sentence that says what holds them back."""

    def why(self, node: Node, reason: DeleteReason) -> str:
        """What holds this node back from going for this reason; empty if nothing does."""
        found = self._why(node, reason)
        if found:
            self._held.setdefault(found, set()).add(node.name)
        return found

    def _why(self, node: Node, reason: DeleteReason) -> str:
        if self._situation.snapshot.hold:
            return self._situation.snapshot.hold
        if reason in way_out.TOLD_BY_SILENCE and self._is_too_many(node):
            return self._our_own_ears
        if reason is DeleteReason.NEVER_JOINED and (name := self._stranger_for(node)):
            return f"{name} is heard, is on no node, and may be on this one"
        return ""

    def warnings(self) -> Iterator[str]:
        """A sentence for each hold that stands, with the nodes that it holds back."""
        for why, names in sorted(self._held.items()):
            shown = ", ".join(sorted(names)[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            yield f"{shown} would be ended, but {why}"

    # -- a worker on no node

    def _stranger_for(self, node: Node) -> str:
        """A host that is heard, is on no node of the cloud and might be on this one: its worker may go by
        another name, and its machine be hidden from it (a container). Empty if there is none.

        It might not if it began before the node was asked for. One that runs nothing counts for so long only:
        nothing is lost on it, and a worker of no node at all must not keep broken nodes for ever.
        """
        times = self._situation.snapshot.history.get(node.id)
        if times is None or times.ready is None:
            return ""
        is_long = self._situation.unheard_for(node) > STRANGERS_COUNT_FOR * timedelta(
            seconds=self._situation.autoscaler.join_timeout
        )
        return next(
            (
                host.hostname
                for host in self._strangers
                if not (host.began is not None and host.began < times.created)
                and (host.running or host.held or not is_long)
            ),
            "",
        )

    @cached_property
    def _strangers(self) -> tuple[HostSeen, ...]:
        """Hosts that are heard and that are on no node."""
        somebodys = {host.hostname for host in self._situation.host_of.values()}
        return tuple(
            host
            for host in self._situation.snapshot.hosts
            if host.hostname not in somebodys and self._situation.is_heard(host)
        )

    # -- very many silent at once

    @cached_property
    def _our_own_ears(self) -> str:
        """The sentence that says so; empty while no more are silent than may be broken."""
        situation, most = self._situation, self._situation.autoscaler
        silent, of = sum(map(situation.is_silent, situation.host_of.values())), len(situation.host_of)
        if silent <= most.unhealthy_least or silent <= most.unhealthy_share * of:
            return ""
        return (
            f"{silent} of {of} hosts are silent, and that may be our own ears: until a worker is heard that "
            f"started after they fell silent, or for another {most.silent_timeout:.0f} s "
            f"(`silent_timeout`), and then {self._few} at a time"
        )

    @property
    def _few(self) -> int:
        return max(1, self._situation.autoscaler.unhealthy_least)

    def _is_too_many(self, node: Node) -> bool:
        """Whether this node stays because so many are silent."""
        if not self._our_own_ears:
            return False
        return not self._is_the_way_open(node) and node.id not in self._next_few

    def _is_the_way_open(self, node: Node) -> bool:
        """Whether a worker that started since then is heard: nodes do reach us, and this one could."""
        since = self._situation.snapshot.now - self._quiet(node)
        return self._youngest is not None and self._youngest > since

    @cached_property
    def _youngest(self) -> datetime | None:
        """When the last of the workers started that are heard now."""
        hosts = filter(self._situation.is_heard, self._situation.snapshot.hosts)
        return max((host.began for host in hosts if host.began is not None), default=None)

    def _quiet(self, node: Node) -> timedelta:
        """For how long it could have been heard and was not."""
        host = self._situation.host_of.get(node.id)
        if host is None:
            return self._situation.unheard_for(node)
        return timedelta(seconds=host.heard_seconds_ago or 0.0)

    @cached_property
    def _next_few(self) -> frozenset[NodeId]:
        """Those that have been silent for so much longer that they go all the same: the longest first, and no
        more before these are gone.
        """
        situation = self._situation
        patience = timedelta(seconds=situation.autoscaler.silent_timeout)
        going, late = 0, []
        for node in situation.cloud.nodes:
            host = situation.host_of.get(node.id)
            if host is not None:
                is_late, long = situation.is_silent(host), 2 * patience
            else:
                join_timeout = timedelta(seconds=situation.autoscaler.join_timeout)
                is_late, long = situation.joins_late(node), join_timeout + patience
            if not is_late:
                continue
            if is_ended_by_the_cloud(node):
                going += 1
            elif self._quiet(node) > long and node.managed and not node.keep_alive:
                late.append(node)
        late.sort(key=lambda node: (-self._quiet(node), node.name))
        return frozenset(node.id for node in late[: max(0, self._few - going)])
