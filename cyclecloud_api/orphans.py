"""Nodes that we created and nobody knows. Pure.

A launch that was given up may arrive after all: its nodes are there, but no plan counts on them. From the
look that finds them they are ordinary nodes, filled with work or ended when idle; what is said here is that
they were found, so that the books agree with the world. A record that was left without a machine is of no use
to anybody and is removed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from cyclecloud_api.intents import Fate, Intent
from cyclecloud_api.inventory import Inventory
from scalelib.node import NodeId, NodeState


class OrphanKind(Enum):
    """What is to be done about it."""

    ADOPT = "adopt"
    """Its launch was given up or refused, and yet it arrived: known from now on."""
    REMOVE = "remove"
    """A record of ours without a machine, which nobody wants started."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Orphan:
    """A node that we created and that no launch accounts for."""

    id: NodeId
    name: str
    request_id: str
    kind: OrphanKind


def orphans(seen: Inventory, intents: Mapping[str, Intent]) -> tuple[Orphan, ...]:
    """The orphans of a look. `intents` by request id; nodes of other request ids are none of ours."""
    found = []
    for node in seen.cloud.nodes:
        intent = intents.get(seen.request_ids.get(node.id, ""))
        if intent is None or node.keep_alive:
            continue
        if node.state is NodeState.OFF and not node.wanted:
            kind = OrphanKind.REMOVE
        elif intent.fate in (Fate.LOST, Fate.REFUSED):
            kind = OrphanKind.ADOPT
        else:
            continue
        found.append(Orphan(id=node.id, name=node.name, request_id=intent.request.request_id, kind=kind))
    return tuple(found)
