"""`/emulator/…`: look into the emulator and make things go wrong. Not part of the product's API."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from cyclecloud_emulator.cluster.life import Life
from cyclecloud_emulator.cluster.node import Node, Phase
from cyclecloud_emulator.cluster.state import State
from cyclecloud_emulator.errors import BadQuery, BadSettings, Conflict, NotAllowed, NotFound
from cyclecloud_emulator.fleet.machine import Fleet
from cyclecloud_emulator.http.auth import Gate
from cyclecloud_emulator.http.bodies import ClusterAction, NodeAction, Restart, Skew
from cyclecloud_emulator.http.calls import Calls
from cyclecloud_emulator.http.openapi import document
from cyclecloud_emulator.http.views import Views
from cyclecloud_emulator.message import Answer, Request, as_json
from cyclecloud_emulator.settings import from_mapping
from cyclecloud_emulator.trouble.faults import Fault, Faults, Schedule
from cyclecloud_emulator.trouble.mishaps import Mishap

T = TypeVar("T")
_MERGED = ("nodes", "quirks", "families", "regional", "spot", "clusters", "sizes")


class Inside(Protocol):
    """What may be looked at and changed from here: the emulator, as far as this endpoint knows it."""

    state: State
    calls: Calls
    faults: Faults
    fleet: Fleet
    folder: Path
    gate: Gate
    life: Life
    views: Views

    def restart_soon(self, *, memory: str, down_seconds: float) -> None: ...


class Admin:
    """Answers requests under `/emulator`. The caller holds the emulator's lock."""

    def __init__(self, emulator: Inside) -> None:
        self._emulator = emulator
        self.handlers: dict[str, dict[str, Callable[[Request, float], Answer]]] = {
            "state": {"GET": self._state},
            "ledger": {"GET": self._ledger},
            "calls": {"GET": self._calls, "DELETE": self._clear_calls},
            "faults": {"GET": self._faults, "POST": self._add_fault, "DELETE": self._clear_faults},
            "schedule": {"POST": self._schedule},
            "mishaps": {"GET": self._mishaps, "POST": self._add_mishap, "DELETE": self._clear_mishaps},
            "nodes": {"POST": self._node},
            "clusters": {"POST": self._cluster},
            "settings": {"GET": self._settings, "PATCH": self._change_settings},
            "skew": {"POST": self._skew},
            "restart": {"POST": self._restart},
            "unlock": {"POST": self._unlock},
            "openapi.json": {"GET": self._openapi},
        }

    def answer(self, request: Request, now: float) -> Answer:
        """Find the handler of the path and run it."""
        handlers = self.handlers.get(request.segments[1] if len(request.segments) > 1 else "")
        if handlers is None:
            there = ", ".join(self.handlers)
            raise NotFound(f"No such path: {request.path}", detail=f"Below /emulator there are: {there}")
        handler = handlers.get(request.method)
        if handler is None:
            raise NotAllowed(
                f"{request.method} is not allowed here", detail=f"Allowed: {', '.join(handlers)}"
            )
        return handler(request, now)

    # -- looking ---------------------------------------------------------------------------------------

    def _state(self, request: Request, now: float) -> Answer:
        emulator, state = self._emulator, self._emulator.state
        nodes = [node for node in state.nodes.values() if node.nodearray]
        return as_json(
            200,
            {
                "now": now,
                "clusters": {
                    name: {"started": name not in state.stopped_clusters} for name in state.settings.clusters
                },
                "nodes": [self._summary(node, now) for node in nodes],
                "operations": len(state.operations),
                "calls": emulator.calls.total,
                "faults": len(list(emulator.faults)),
                "mishaps": len(list(state.mishaps)),
                "bad_passwords": emulator.gate.failures,
                "folder": str(emulator.folder),
            },
        )

    def _summary(self, node: Node, now: float) -> dict[str, object]:
        return {
            "id": node.id,
            "name": node.name,
            "cluster": node.cluster,
            "nodearray": node.nodearray,
            "vm_size": node.vm_size,
            "spot": node.spot,
            "zone": node.zone,
            "status": node.phase.status,
            "target": node.target,
            "message": node.message,
            "hostname": node.hostname,
            "keep_alive": node.keep_alive,
            "age": now - node.created_at,
            "running": self._emulator.fleet.busy(node.id),
        }

    def _ledger(self, request: Request, now: float) -> Answer:
        return as_json(200, self._emulator.state.ledger.summary(now))

    def _calls(self, request: Request, now: float) -> Answer:
        calls = self._emulator.calls
        return as_json(
            200,
            {"total": calls.total, "counts": calls.counts(), "calls": [call.as_json() for call in calls]},
        )

    def _clear_calls(self, request: Request, now: float) -> Answer:
        self._emulator.calls.clear()
        return as_json(200, {"total": 0})

    # -- faults and mishaps ----------------------------------------------------------------------------

    def _faults(self, request: Request, now: float) -> Answer:
        return as_json(200, {"faults": list(self._emulator.faults)})

    def _add_fault(self, request: Request, now: float) -> Answer:
        self._emulator.faults.add(_read(request, Fault))
        return self._faults(request, now)

    def _clear_faults(self, request: Request, now: float) -> Answer:
        self._emulator.faults.clear()
        return self._faults(request, now)

    def _schedule(self, request: Request, now: float) -> Answer:
        wanted = _read(request, Schedule)
        self._emulator.faults.clear()
        self._emulator.faults.follow(wanted)
        return self._faults(request, now)

    def _mishaps(self, request: Request, now: float) -> Answer:
        return as_json(200, {"mishaps": list(self._emulator.state.mishaps)})

    def _add_mishap(self, request: Request, now: float) -> Answer:
        self._emulator.state.mishaps.add(_read(request, Mishap))
        return self._mishaps(request, now)

    def _clear_mishaps(self, request: Request, now: float) -> Answer:
        self._emulator.state.mishaps.clear()
        return self._mishaps(request, now)

    # -- acting ----------------------------------------------------------------------------------------

    def _node(self, request: Request, now: float) -> Answer:
        wanted = _read(request, NodeAction)
        node, emulator = self._find(wanted.node), self._emulator
        match wanted.action:
            case "kill-worker":
                if not emulator.fleet.kill_worker(node.id):
                    raise Conflict(f"Node {node.name} has no worker that runs")
            case "evict":
                if not node.spot or node.phase not in (Phase.BOOTING, Phase.CONFIGURING, Phase.READY):
                    raise Conflict(f"Node {node.name} is not a spot machine that is up: it cannot be evicted")
                notice = wanted.notice
                if notice is None:
                    notice = emulator.state.settings.nodes.eviction_notice_seconds
                emulator.life.evict(node, now, notice=notice)
            case "fail":
                emulator.life.fail(node, now, wanted.message)
            case "vanish":
                emulator.life.vanish(node, now)
            case "keep-alive":
                node.keep_alive = True
            case "no-keep-alive":
                node.keep_alive = False
        return as_json(200, {"node": node.name, "id": node.id, "action": wanted.action})

    def _find(self, name: str) -> Node:
        for node in self._emulator.state.nodes.values():
            if node.nodearray and name in (node.id, node.name, node.hostname):
                return node
        raise NotFound(f"No node with the id, name or host name {name!r}")

    def _cluster(self, request: Request, now: float) -> Answer:
        name = request.segments[2] if len(request.segments) > 2 else ""
        state = self._emulator.state
        if name not in state.settings.clusters:
            raise NotFound(f"No such cluster: {name!r}")
        wanted = _read(request, ClusterAction)
        if wanted.started:
            state.stopped_clusters.discard(name)
        else:
            state.stopped_clusters.add(name)
            for node in [node for node in state.nodes_of(name) if node.nodearray]:
                if node.phase.in_use and not node.phase.is_leaving:
                    self._emulator.life.terminate(node, now)
        return as_json(200, {"cluster": name, "started": wanted.started})

    def _settings(self, request: Request, now: float) -> Answer:
        settings = msgspec.to_builtins(self._emulator.state.settings)
        del settings["password"]
        return as_json(200, settings)

    def _change_settings(self, request: Request, now: float) -> Answer:
        """Merge a change into the settings (RFC 7396); nodes that exist keep what they were made with."""
        change = _read(request, dict[str, Any])
        fixed = sorted(change.keys() - set(_MERGED))
        if fixed:
            raise BadQuery(f"{', '.join(fixed)}: cannot be changed; {', '.join(_MERGED)} can")
        state = self._emulator.state
        try:
            changed = from_mapping(_merge(msgspec.to_builtins(state.settings), change))
        except BadSettings as error:
            raise BadQuery(str(error)) from error
        gone = {(n.cluster, n.nodearray) for n in state.nodes.values() if n.nodearray} - {
            (cluster, array) for cluster, c in changed.clusters.items() for array in c.nodearrays
        }
        if gone:
            raise Conflict(f"{sorted(gone)} still have nodes")
        if (
            changed.nodes.kind != state.settings.nodes.kind
            or changed.nodes.command != state.settings.nodes.command
        ):
            raise BadQuery("nodes.kind and nodes.command cannot be changed while the emulator runs")
        state.settings = changed
        return self._settings(request, now)

    def _skew(self, request: Request, now: float) -> Answer:
        self._emulator.views.skew = _read(request, Skew).seconds
        return as_json(200, {"seconds": self._emulator.views.skew})

    def _restart(self, request: Request, now: float) -> Answer:
        wanted = _read(request, Restart)
        self._emulator.restart_soon(memory=wanted.memory, down_seconds=wanted.down_seconds)
        return as_json(202, {"memory": wanted.memory, "down_seconds": wanted.down_seconds})

    def _openapi(self, request: Request, now: float) -> Answer:
        return as_json(200, document(request.base_url))

    def _unlock(self, request: Request, now: float) -> Answer:
        self._emulator.gate.unlock()
        return as_json(200, {"bad_passwords": 0})


def _read(request: Request, type_: type[T]) -> T:
    """The body, checked."""
    try:
        return msgspec.json.decode(request.body, type=type_)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadQuery(f"Body of {request.method} {request.path}: {error}") from error


def _merge(target: Any, change: Any) -> Any:
    if not isinstance(change, dict) or not isinstance(target, dict):
        return change
    merged = dict(target)
    for name, value in change.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge(merged.get(name), value)
    return merged
