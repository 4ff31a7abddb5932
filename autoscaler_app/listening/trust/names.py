"""In whose name something is said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scalelib.hostnames import short_name
from scalelib.node import Node


def names_of(node: Node) -> frozenset[str]:
    """What a node is called."""
    return frozenset(short_name(name) for name in (node.hostname, node.private_ip) if name)


def names_claimed(nodename: str, body: Mapping[str, Any]) -> frozenset[str]:
    """Every name that is claimed by what is said: by the node name, and by what it says of its machine."""
    said: list[Any] = [nodename.partition("@")[2], nodename.rpartition("@")[2], body.get("hostname")]
    machine = body.get("machine")
    if isinstance(machine, Mapping):
        addresses = machine.get("addresses")
        said += [machine.get("host"), *(addresses if isinstance(addresses, list | tuple) else ())]
    hosts = [name.rpartition("@")[2] for name in said if isinstance(name, str)]
    return frozenset(short_name(name) for name in hosts if name)
