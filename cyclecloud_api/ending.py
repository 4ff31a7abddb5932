"""Ending nodes, by id, and only those whose identity is beyond doubt.

A wrong answer must never end a wrong node. An id is trusted once two looks in a row showed it under the same
name; an answer that shows a known id under another name is refused as a whole.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from cyclecloud_api import errors, models
from cyclecloud_api.client import CycleCloudClient
from cyclecloud_api.nodes import WITHOUT_ID
from scalelib.node import Node, NodeId
from scalelib.provider import NodeOutcome

log = logging.getLogger(__name__)

AT_ONCE = 1000
"""Most ids in one call."""


class Identities:
    """Which id belongs to which name, as far as looks agree on it."""

    def __init__(self) -> None:
        self._names: dict[NodeId, str] = {}
        self._trusted: set[NodeId] = set()
        self._protected: set[NodeId] = set()

    def look(self, nodes: Iterable[Node]) -> None:
        """Take in a look. Garbled if it gives a known id another name; the look after it decides."""
        listed = {node.id: node for node in nodes}
        changed = [
            (node_id, self._names[node_id], node.name)
            for node_id, node in listed.items()
            if self._names.get(node_id, node.name) != node.name
        ]
        self._trusted = {i for i, node in listed.items() if self._names.get(i) == node.name}
        self._names = {i: node.name for i, node in listed.items()}
        self._protected = {i for i, node in listed.items() if node.keep_alive or not node.managed}
        if changed:
            # Which of the two was true is not known: start anew, so that two looks have to agree again.
            self._names.clear()
            self._trusted.clear()
            node_id, before, after = changed[0]
            raise errors.Garbled(
                f"{len(changed)} nodes changed their names, such as {node_id} from {before} to {after}, "
                "which does not happen: the answer is not to be trusted"
            )

    def created(self, nodes: Iterable[tuple[NodeId, str]]) -> None:
        """Ids that a create was answered with; as good as one look."""
        for node_id, name in nodes:
            self._names.setdefault(node_id, name)

    def is_known(self, node: NodeId) -> bool:
        """Whether the last look, or a create after it, showed this id."""
        return node in self._names

    def is_trusted(self, node: NodeId) -> bool:
        """Whether two looks agree on it."""
        return node in self._trusted

    def is_protected(self, node: NodeId) -> bool:
        """Whether it must never be ended."""
        return node in self._protected


def terminate(
    client: CycleCloudClient,
    nodes: Sequence[NodeId],
    *,
    verb: str,
    identities: Identities,
    look: Callable[[], object],
    announce: Callable[[Sequence[NodeId]], None],
) -> tuple[NodeOutcome, ...]:
    """End these nodes; one outcome for each, in order. Those that are not listed any more count as ended.

    `look` looks again where it has to; `announce` is told which are about to be ended.
    """
    wanted = list(dict.fromkeys(nodes))
    outcomes = {
        n: _failed(n, "it has no NodeId yet: not touched") for n in wanted if n.startswith(WITHOUT_ID)
    }
    for _ in range(2):
        if not all(identities.is_trusted(n) for n in wanted if n not in outcomes):
            look()
    for node in [n for n in wanted if n not in outcomes]:
        if not identities.is_known(node):
            outcomes[node] = NodeOutcome(id=node, ok=True)
        elif identities.is_protected(node):
            outcomes[node] = _failed(node, "KeepAlive is set on this node: not touched")
        elif not identities.is_trusted(node):
            outcomes[node] = _failed(node, "two looks in a row do not agree on this node: not touched")
    to_end = [n for n in wanted if n not in outcomes]
    announce(to_end)
    for start in range(0, len(to_end), AT_ONCE):
        batch = to_end[start : start + AT_ONCE]
        try:
            outcomes.update(_end(client, batch, verb))
        except errors.CycleCloudError as error:
            if start == 0:
                raise
            outcomes.update({n: _failed(n, str(error)) for n in to_end[start:]})
            break
    return tuple(outcomes[n] for n in wanted)


def _end(client: CycleCloudClient, ids: Sequence[NodeId], verb: str) -> dict[NodeId, NodeOutcome]:
    end = client.shutdown if verb == "shutdown" else client.terminate
    said = {node.id: node for node in end(ids=ids).nodes}
    return {node: _outcome(node, said.get(node)) for node in ids}


def _outcome(node: NodeId, said: models.ManagedNode | None) -> NodeOutcome:
    if said is None or said.ok:
        return NodeOutcome(id=node, ok=True)  # not in the answer: it is gone, which is what was wanted
    return _failed(node, said.error or f"the server says {said.status}")


def _failed(node: NodeId, error: str) -> NodeOutcome:
    return NodeOutcome(id=node, ok=False, error=error)
