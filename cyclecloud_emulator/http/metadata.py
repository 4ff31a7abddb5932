"""The metadata service that a machine can ask about itself, as far as evictions need it.

After the public description of Azure's Instance Metadata Service, Scheduled Events:
https://learn.microsoft.com/azure/virtual-machines/linux/scheduled-events. On a machine it answers under
http://169.254.169.254; here each node has an address of its own, `/emulator/metadata/<NodeId>`, without a
password, as there. Events are announced only; they are not acknowledged here (see docs/emulator.md).
"""

from __future__ import annotations

import uuid
from email.utils import formatdate

from cyclecloud_emulator.cluster.node import Node
from cyclecloud_emulator.cluster.state import State
from cyclecloud_emulator.errors import BadQuery, NotAllowed, NotFound
from cyclecloud_emulator.message import Answer, Request, as_json

PATH = "metadata"
_EVENTS = uuid.UUID("5b3c8f0e-5c57-4d55-9a3c-5f5b7a1f0a22")


def answer(state: State, request: Request) -> Answer:
    """Events of the machine, or its name. NotFound for a machine that is gone."""
    _, _, node_id, *rest = (*request.segments, "")
    node = state.nodes.get(node_id)
    if node is None or not node.has_machine:
        raise NotFound(f"No machine of a node {node_id!r}")
    if request.method != "GET":
        raise NotAllowed(f"{request.method} is not allowed here", detail="Allowed: GET")
    if (request.metadata or "").lower() != "true":
        raise BadQuery("Bad request: the header 'Metadata: true' is required")
    if not request.parameters().get("api-version"):
        raise BadQuery("Bad request: api-version was not specified")
    match tuple(part for part in rest if part):
        case ("metadata", "scheduledevents"):
            events = [] if node.evicted_at is None else [_preempt(node, node.evicted_at)]
            return as_json(200, {"DocumentIncarnation": 1 + len(events), "Events": events})
        case ("metadata", "instance", "compute", "name"):
            return Answer(status=200, body=str(node.instance_id).encode(), content_type="text/plain")
        case _:
            raise NotFound(f"No such path: {request.path}")


def _preempt(node: Node, not_before: float) -> dict[str, object]:
    return {
        "EventId": str(uuid.uuid5(_EVENTS, node.id)),
        "EventStatus": "Scheduled",
        "EventType": "Preempt",
        "ResourceType": "VirtualMachine",
        "Resources": [node.instance_id],
        "NotBefore": formatdate(not_before, usegmt=True),
        "Description": "",
        "EventSource": "Platform",
        "DurationInSeconds": -1,
    }
