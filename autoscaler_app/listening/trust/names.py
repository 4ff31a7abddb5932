"""In whose name something is said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autoscaler_app.listening.activity.accounts import MAX_ADDRESSES
from scalelib.hostnames import short_name
from scalelib.node import Node


def names_of(node: Node) -> frozenset[str]:
    """What a node is called."""
    return frozenset(short_name(name) for name in (node.hostname, node.private_ip) if name)


def names_claimed(nodename: str, body: Mapping[str, Any]) -> frozenset[str]:
    """Every name that is claimed by what is said: by the node name, and by what it says of its machine. Of
    more addresses than may be told only some: what has them is not believed.
    """
    said: list[Any] = [nodename.partition("@")[2], nodename.rpartition("@")[2], body.get("hostname")]
    machine = body.get("machine")
    if isinstance(machine, Mapping):
        said += [machine.get("host"), *addresses_claimed(body)[:MAX_ADDRESSES]]
    hosts = [name.rpartition("@")[2] for name in said if isinstance(name, str)]
    return frozenset(short_name(name) for name in hosts if name)


def addresses_claimed(body: Mapping[str, Any]) -> Sequence[Any]:
    """What it says are the addresses of its machine."""
    machine = body.get("machine")
    addresses = machine.get("addresses") if isinstance(machine, Mapping) else None
    return addresses if isinstance(addresses, list | tuple) else ()
