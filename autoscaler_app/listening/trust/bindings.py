"""Which key is whose: bound when the cloud lists a node that has none yet, and one key speaks in its name."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from typing import Any, Protocol

import msgspec

from autoscaler_app.listening.trust.names import names_of
from autoscaler_app.memory.state import Binding, Drain, KnownHost
from scalelib.hostnames import short_name
from scalelib.node import Node

log = logging.getLogger(__name__)

CLAIM_LAPSES = 600.0
"""Seconds after which a key that is bound to nothing and has not spoken is forgotten."""
MOST_NAMES = 20_000
MOST_KEYS = 8
"""Of one name."""


class Memory(Protocol):
    """The state file, as far as trust is concerned."""

    def key_bindings(self) -> dict[str, Binding]: ...
    def bind_key(self, binding: Binding) -> None: ...
    def unbind_key(self, node_id: str) -> bool: ...
    def drains(self) -> dict[str, Drain]: ...
    def known_hosts(self) -> dict[str, KnownHost]: ...
    def fact(self, name: str) -> Any: ...
    def set_fact(self, name: str, value: Any) -> None: ...
    def change(self, name: str, change: Callable[[Any], Any]) -> Any: ...
    def reports(self, last: int) -> list[tuple[int, bytes]]: ...


class Bindings:
    """The keys of nodes, and those that speak in the name of one that has none. Not thread-safe."""

    def __init__(self, memory: Memory, settling: timedelta) -> None:
        """`settling`: a binding that is younger can be contested."""
        self._memory, self._settling = memory, settling
        self._pending: dict[str, Binding | None] = {}
        """What was bound (or not any more: None) and is not in the state file yet."""
        self._claims: OrderedDict[str, OrderedDict[str, float]] = OrderedDict()
        """By name: the keys that have spoken in it and were not its key, and when they last did."""
        self._void: set[str] = set()
        """Names in which a key was believed that is contested since."""
        self._nodes: dict[str, set[str]] = {}
        """By name: the nodes that have it."""
        self._read()
        for binding in self._of.values():
            self._nodes.setdefault(short_name(binding.hostname), set()).add(binding.node_id)

    def _read(self) -> None:
        kept = {**self._memory.key_bindings(), **self._pending}
        self._of = {node_id: binding for node_id, binding in kept.items() if binding is not None}
        self._owner = {binding.key: binding for binding in self._of.values()}

    # -- what the cloud says

    def know(self, nodes: Iterable[Node], now: datetime) -> set[str]:
        """These nodes there are now. Binds keys that have spoken; returns the names in which what was
        believed until now was not known to be said by the node.
        """
        self._read()
        listed = [(node, names_of(node)) for node in nodes]
        before, self._nodes = self._nodes, {}
        for node, names in listed:
            for name in names:
                self._nodes.setdefault(name, set()).add(node.id)
        doubtful, self._void = self._void, set()
        for node, names in listed:
            if node.id in self._of:
                self._follow_machine(node)
            if node.id not in self._of and not self._bind(node, names, now):
                doubtful |= {name for name in names if node.id not in before.get(name, ())}
        return doubtful

    def remember(self) -> None:
        """Write down what was bound since."""
        for node_id, binding in self._pending.items():
            if binding is None:
                self._memory.unbind_key(node_id)
            else:
                self._memory.bind_key(binding)
        self._pending.clear()

    def _follow_machine(self, node: Node) -> None:
        """A machine of the same node id that is another one has another key."""
        binding, instance = self._of[node.id], node.instance_id
        if not instance or instance == binding.instance_id:
            return
        if binding.instance_id:
            log.warning("%s is a new machine: the key of the old one is void", node.hostname or node.name)
            self._set(node.id, None)
        else:
            self._set(node.id, msgspec.structs.replace(binding, instance_id=instance))

    def _bind(self, node: Node, names: Collection[str], now: datetime) -> bool:
        """Bind the one key that speaks in the name of this node. False if none does, or several do."""
        keys = self._claimants(names, now.timestamp())
        if len(keys) != 1:
            return False
        key, hostname = next(iter(keys)), node.hostname or node.private_ip or ""
        instance = node.instance_id or ""
        self._set(
            node.id,
            Binding(node_id=node.id, instance_id=instance, hostname=hostname, key=key, bound=now),
        )
        log.info("%s speaks with the key %s from now on", hostname, key)
        for name in names:
            self._claims.pop(name, None)
        return True

    def _set(self, node_id: str, binding: Binding | None) -> None:
        self._pending[node_id] = binding
        former = self._of.pop(node_id, None)
        if former is not None:
            self._owner.pop(former.key, None)
        if binding is not None:
            self._of[node_id] = self._owner[binding.key] = binding

    # -- who speaks

    def owner(self, key: str | None) -> Binding | None:
        """Whose key this is."""
        return None if key is None else self._owner.get(key)

    def has_key(self, node_id: str) -> bool:
        """Whether a key is bound to this node."""
        return node_id in self._of

    def listed(self, names: Collection[str]) -> set[str]:
        """Those of these names that a node has."""
        return {name for name in names if name in self._nodes}

    def nodes_of(self, names: Collection[str]) -> set[str]:
        """The nodes that have one of these names."""
        return {node_id for name in names for node_id in self._nodes.get(name, ())}

    def bound(self, names: Collection[str]) -> list[Binding]:
        """The keys of the nodes that have one of these names."""
        return [self._of[node_id] for node_id in self.nodes_of(names) if node_id in self._of]

    def why_not(self, names: Collection[str], key: str, now: datetime) -> str:
        """Why this key cannot speak in all of these names; empty if it can. Notes who claims a name."""
        listed, owner = self.listed(names), self._owner.get(key)
        if owner is not None:
            foreign = any(owner.node_id not in self._nodes[name] for name in listed)
            return f"it is signed with the key of {owner.hostname}" if foreign else ""
        bound = self.bound(listed)
        for binding in bound:
            if now - binding.bound <= self._settling:
                # Who came first may not be who was meant: nobody is believed until one falls silent.
                self._set(binding.node_id, None)
                self._claim(names, binding.key, now.timestamp())
                self._void |= listed
        self._claim(names, key, now.timestamp())
        if bound:
            return "it is signed with another key than the one that the host is bound to"
        if len(self._claimants(names, now.timestamp())) > 1:
            return "several keys speak in this name, and none is bound"
        return ""

    def key_of(self, names: Collection[str], now: datetime) -> str | None:
        """The key of who has these names, as far as it is known."""
        keys = {binding.key for binding in self.bound(names)} or self._claimants(names, now.timestamp())
        return next(iter(keys)) if len(keys) == 1 else None

    def _claimants(self, names: Collection[str], now: float) -> set[str]:
        """The keys that have lately spoken in one of these names, and are nobody else's."""
        return {
            key
            for name in names
            for key, last in self._claims.get(name, {}).items()
            if now - last <= CLAIM_LAPSES and key not in self._owner
        }

    def _claim(self, names: Collection[str], key: str, now: float) -> None:
        for name in names:
            keys = self._claims.setdefault(name, OrderedDict())
            self._claims.move_to_end(name)
            keys[key] = now
            keys.move_to_end(key)
            if len(keys) > MOST_KEYS:
                keys.popitem(last=False)
        while len(self._claims) > MOST_NAMES:
            self._claims.popitem(last=False)
