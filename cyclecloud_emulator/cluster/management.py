"""The verbs on existing nodes: start, shutdown, terminate, deallocate, remove, restart, reimage."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import msgspec
from msgspec import Struct

from cyclecloud_emulator.cluster import classad
from cyclecloud_emulator.cluster.creation import check_request_id
from cyclecloud_emulator.cluster.life import Life
from cyclecloud_emulator.cluster.node import Node, Phase
from cyclecloud_emulator.cluster.state import Operation, State
from cyclecloud_emulator.errors import BadQuery, Conflict

VERBS = ("start", "shutdown", "terminate", "deallocate", "remove", "restart", "reimage")
_ENDING = ("shutdown", "terminate", "deallocate", "remove")


class ManagementRequest(Struct, rename={"request_id": "requestId"}):
    """Body of a management request. Several selectors mean their union."""

    ids: list[str] | None = None
    names: list[str] | None = None
    hostnames: list[str] | None = None
    ip_addresses: list[str] | None = None
    filter: str | None = None
    request_id: str | None = None

    @property
    def selects(self) -> bool:
        """Whether there is any selector."""
        return any((self.ids, self.names, self.hostnames, self.ip_addresses, self.filter))


class NodeResult(Struct, omit_defaults=True):
    """What became of one node."""

    id: str
    name: str
    status: str | None = None
    error: str | None = None


def parse(body: bytes) -> ManagementRequest:
    """Read the body; anything wrong with it is a conflict, as the API says."""
    try:
        return msgspec.json.decode(body or b"{}", type=ManagementRequest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Conflict(f"Invalid node management request: {error}") from error


def manage(
    state: State,
    life: Life,
    cluster: str,
    verb: str,
    request: ManagementRequest,
    *,
    attributes_of: Callable[[Node], dict[str, object]],
    now: float,
) -> tuple[Operation, list[NodeResult]]:
    """Do the verb to every node that is selected. Selecting nothing that exists is no error."""
    check_request_id(state, cluster, request.request_id, now)
    if not request.selects:
        answer = state.settings.quirks.no_selector
        if answer == "400":
            raise BadQuery("No nodes were selected")
        if answer == "409":
            raise Conflict("No nodes were selected: give ids, names, hostnames, ip_addresses or filter")
    nodes = _selected(state, cluster, request, attributes_of)
    protected = [node for node in nodes if node.keep_alive and verb in _ENDING]
    if protected and state.settings.quirks.keep_alive == "conflict":
        raise Conflict(f"Node {protected[0].name} is protected by KeepAlive")
    results = [result for node in nodes if (result := _manage_one(state, life, node, verb, now)) is not None]
    how = state.settings.quirks.operation_action
    operation = Operation(
        id=str(uuid.uuid4()),
        action={"verb": verb, "create": "create", "absent": ""}[how],
        started_at=now,
        cluster=cluster,
        request_id=request.request_id,
        node_ids=tuple(node.id for node in nodes),
    )
    state.remember(operation, now)
    return operation, results


def _selected(
    state: State,
    cluster: str,
    request: ManagementRequest,
    attributes_of: Callable[[Node], dict[str, object]],
) -> list[Node]:
    """The union of the selectors, oldest node first."""
    ids, names = set(request.ids or ()), set(request.names or ())
    hostnames, addresses = set(request.hostnames or ()), set(request.ip_addresses or ())
    try:
        fits = classad.compile_filter(request.filter) if request.filter else None
    except ValueError as error:
        raise Conflict(f"Invalid filter: {error}") from error
    return [
        node
        for node in state.nodes_of(cluster)
        if node.id in ids
        or node.name in names
        or node.hostname in hostnames
        or node.private_ip in addresses
        or (fits is not None and fits(attributes_of(node)))
    ]


def _manage_one(state: State, life: Life, node: Node, verb: str, now: float) -> NodeResult | None:
    error = ""
    if verb in _ENDING:
        if node.keep_alive:
            error = "Node is protected by KeepAlive" if state.settings.quirks.keep_alive == "error" else ""
        elif node.phase is Phase.TERMINATING:
            how = state.settings.quirks.terminate_twice
            if how == "absent":
                return None
            error = "Node is already terminating" if how == "error" else ""
        else:
            _end(life, node, verb, now)
    elif verb == "start":
        error = _start(state, life, node, now)
    elif node.phase is not Phase.READY or not node.nodearray:
        error = f"Only a node of a nodearray that is ready can be {verb}ed; this one is {node.phase.status}"
    else:
        life.restart(node, now)
    status = "Error" if error else "OK"
    return NodeResult(id=node.id, name=node.name, status=status, error=error or None)


def _end(life: Life, node: Node, verb: str, now: float) -> None:
    if verb == "deallocate" or (verb == "shutdown" and node.shutdown_policy == "Deallocate"):
        if node.phase.in_use:
            life.deallocate(node, now)
    else:
        life.terminate(node, now, keep_record=False if verb == "remove" else None)


def _start(state: State, life: Life, node: Node, now: float) -> str:
    """Start a node that is Off or Deallocated; the error if it cannot be."""
    if node.phase.in_use:
        return "" if not node.phase.is_leaving else f"Node is {node.phase.status}"
    if node.nodearray and not state.settings.quirks.deallocated_over_limit:
        usage, array = state.usage(), state.settings.clusters[node.cluster].nodearrays[node.nodearray]
        key = (node.cluster, node.nodearray)
        if (
            usage.array_nodes[key] >= array.max_count
            or usage.array_cores[key] + node.size.vcpus > array.max_core_count
        ):
            return "The nodearray is at its limit"
    life.start(node, now)
    return ""
