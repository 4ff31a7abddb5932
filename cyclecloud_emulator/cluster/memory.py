"""What the server remembers, in a file: so that the emulator can be killed and started again.

Written whole after everything that changed it and before the answer leaves, so that no client was ever told
something that a restart does not know. One emulator at a time: the file is locked for as long as it runs.
"""

from __future__ import annotations

import dataclasses
import fcntl
import os
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from cyclecloud_emulator.cluster.costs import Entry
from cyclecloud_emulator.cluster.life import Due, Life
from cyclecloud_emulator.cluster.node import Node, Phase
from cyclecloud_emulator.cluster.state import Operation, State
from cyclecloud_emulator.errors import BadSettings
from cyclecloud_emulator.settings import Size


class Saved(Struct, kw_only=True, forbid_unknown_fields=True):
    """The file."""

    version: Literal[1] = 1
    nodes: list[dict[str, Any]]
    working: list[str]
    """Ids of nodes that something ran on."""
    timeline: list[Due]
    operations: list[Operation]
    requests: list[tuple[str, str, str]]
    capacity_failures: dict[str, float]
    stopped_clusters: list[str]
    highest_number: list[tuple[str, str, int]]
    machines_made: int
    addresses_made: int
    addresses: list[int]
    machines: list[Entry]
    created: int
    removed: int


class Memory:
    """The file, held by one emulator."""

    def __init__(self, path: Path) -> None:
        """BadSettings if another emulator has it."""
        self.path = path
        self._lock = os.open(
            path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise BadSettings(f"state file {path}: another emulator uses it; stop that one first") from error

    def close(self) -> None:
        """Let go of it."""
        os.close(self._lock)

    def forget(self) -> None:
        """Begin anew."""
        self.path.unlink(missing_ok=True)

    def restore(self, state: State, life: Life) -> frozenset[str] | None:
        """Fill the state from the file; ids of the nodes that something ran on. None if there is no file.

        BadSettings if the file cannot be read, or has nodes of a nodearray that the settings do not have.
        """
        try:
            saved = msgspec.json.decode(self.path.read_bytes(), type=Saved)
            nodes = [_node(fields) for fields in saved.nodes]
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError, KeyError, TypeError) as error:
            raise BadSettings(
                f"state file {self.path}: cannot be read: {error}; start with --forget to begin anew"
            ) from error
        for node in nodes:
            cluster = state.settings.clusters.get(node.cluster)
            if cluster is None or (node.nodearray and node.nodearray not in cluster.nodearrays):
                raise BadSettings(
                    f"state file {self.path}: node {node.name} is of {node.cluster}/{node.nodearray}, which "
                    "the settings do not have; start with --forget to begin anew"
                )
            state.add(node)
        state.operations = {operation.id: operation for operation in saved.operations}
        state.requests = {(scope, request): id_ for scope, request, id_ in saved.requests}
        state.capacity_failures = saved.capacity_failures
        state.stopped_clusters = set(saved.stopped_clusters)
        state.highest_number = {(cluster, array): most for cluster, array, most in saved.highest_number}
        state.machines_made, state.addresses_made = saved.machines_made, saved.addresses_made
        state.addresses = set(saved.addresses)
        state.ledger.restore(saved.machines, created=saved.created, removed=saved.removed)
        life.restore(saved.timeline)
        return frozenset(saved.working)

    def save(self, state: State, life: Life, working: list[str]) -> None:
        """Write everything down; a reader, or a crash, never meets half of it."""
        saved = Saved(
            nodes=[_fields(node) for node in state.nodes.values()],
            working=working,
            timeline=life.due(),
            operations=list(state.operations.values()),
            requests=[(scope, request, id_) for (scope, request), id_ in state.requests.items()],
            capacity_failures=state.capacity_failures,
            stopped_clusters=sorted(state.stopped_clusters),
            highest_number=[(*key, most) for key, most in state.highest_number.items()],
            machines_made=state.machines_made,
            addresses_made=state.addresses_made,
            addresses=sorted(state.addresses),
            machines=state.ledger.entries,
            created=state.ledger.created,
            removed=state.ledger.removed,
        )
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_bytes(msgspec.json.encode(saved))
        draft.replace(self.path)


def _fields(node: Node) -> dict[str, Any]:
    """A node as JSON has it: phases by name."""
    fields = {field.name: getattr(node, field.name) for field in dataclasses.fields(node)}
    after = node.after_stop
    return {**fields, "phase": node.phase.name, "after_stop": None if after is None else after.name}


def _node(fields: dict[str, Any]) -> Node:
    after = fields["after_stop"]
    phases = {name: (began, ended) for name, (began, ended) in fields["phases"].items()}
    return Node(
        **{
            **fields,
            "size": msgspec.convert(fields["size"], Size),
            "phase": Phase[fields["phase"]],
            "after_stop": None if after is None else Phase[after],
            "phases": phases,
        }
    )
