"""Which host is which node."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol, TypeVar

from scalelib.hostnames import by_host, short_name
from scalelib.node import Node, NodeId

__all__ = ["by_host", "homes_of", "match_hosts", "short_name"]


class _Named(Protocol):
    @property
    def hostname(self) -> str: ...


Host = TypeVar("Host", bound=_Named)


def homes_of(nodes: Collection[Node]) -> dict[str, str]:
    """By short host name and by private address of each node: how its host is called."""
    called = {node.id: node.hostname or node.private_ip or "" for node in nodes}
    return {name: called[node_id] for name, node_id in by_host(nodes).items()}


def match_hosts(hosts: Iterable[Host], claims: Mapping[str, NodeId]) -> dict[NodeId, Host]:
    """The host of each node: by short host name or by private address, in any spelling.

    A name that two live nodes claim is nobody's (`by_host`): what is said under it cannot be put down to one
    of them.
    """
    named = ((claims.get(short_name(host.hostname)), host) for host in hosts)
    return {node_id: host for node_id, host in named if node_id is not None}
