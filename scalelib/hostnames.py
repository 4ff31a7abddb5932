"""Names of hosts, as they are compared: what the cloud calls a node is what its workers call their host."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from scalelib.node import Node, NodeId


# A pass asks for each host a dozen times, and the hosts are mostly the same ones from pass to pass.
@lru_cache(maxsize=1 << 16)
def short_name(host: str) -> str:
    """A host name as it is compared: lower case, without its domain. An address stays whole, in one spelling:
    `::ffff:10.0.0.1` is `10.0.0.1`.
    """
    lowered = host.strip().lower()
    if not lowered[:1].isdigit() and ":" not in lowered:
        return lowered.partition(".")[0]
    try:
        address = ip_address(lowered)
    except ValueError:
        return lowered if ":" in lowered else lowered.partition(".")[0]
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def by_host(nodes: Iterable[Node]) -> dict[str, NodeId]:
    """Node ids by short host name and by private address; a name that two nodes claim is nobody's."""
    claims: dict[str, NodeId | None] = {}
    for node in nodes:
        for name in (node.hostname, node.private_ip):
            if name and claims.setdefault(short := short_name(name), node.id) != node.id:
                claims[short] = None
    return {name: node_id for name, node_id in claims.items() if node_id is not None}
