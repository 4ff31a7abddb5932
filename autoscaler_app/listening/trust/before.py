"""Nodes that were there before signing was turned on: believed as they were until they sign, or are gone.

They would otherwise be unknown for ever: nothing given to them, nothing ended. Who they are is written down
by the first pass that signs, and nobody joins them. A state file that knows of no earlier pass names none:
one that was lost is no reason to believe anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from autoscaler_app.listening.trust.bindings import Memory
from scalelib.node import Node

FROM_BEFORE = "nodes_from_before_signing"
"""Name of the fact: their instance ids (empty where the cloud tells none) by node id."""


class FromBefore:
    """The nodes of before. Not thread-safe."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._of: dict[str, str] = {}
        self._hosts: dict[str, str] = {}
        self._is_known = self._is_written = False
        kept = memory.fact(FROM_BEFORE)
        if isinstance(kept, dict):
            self._of, self._is_known, self._is_written = dict(kept), True, True

    def know(self, nodes: Iterable[Node], is_bound: Callable[[str], bool]) -> None:
        """These nodes there are now, and of which a key is bound."""
        listed = {str(node.id): node for node in nodes}
        if not self._is_known:
            began_before = bool(self._memory.reports(1))
            self._of = {id_: node.instance_id or "" for id_, node in listed.items()} if began_before else {}
            self._is_known = True
        kept = {
            id_: instance
            for id_, instance in self._of.items()
            if id_ in listed and not is_bound(id_) and (listed[id_].instance_id or "") in ("", instance)
        }
        self._is_written &= kept == self._of
        self._of = kept
        self._hosts = {id_: listed[id_].hostname or listed[id_].name for id_ in kept}

    def remember(self) -> None:
        """Write down who they are."""
        if self._is_known and not self._is_written:
            self._memory.set_fact(FROM_BEFORE, self._of)
            self._is_written = True

    def holds(self, node_ids: Collection[str]) -> bool:
        """Whether these are nodes, and all of before."""
        return bool(node_ids) and self._of.keys() >= set(node_ids)

    def warnings(self) -> tuple[str, ...]:
        """A sentence, as long as there are any."""
        if not self._hosts:
            return ()
        names = sorted(self._hosts.values())
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        return (
            f"{shown}: from before signing was turned on; whoever speaks in their names is believed until "
            "they sign or are gone (autoscaler drain NODE ends one)",
        )
