"""What the engine asks of a cloud. Implemented elsewhere (`cyclecloud_api.provider`), found by name.

Every method raises a `scalelib.errors.ProviderError`, whose type says what a caller can do about it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from scalelib.bucket import Bucket, Pool
from scalelib.node import Node, NodeId


@dataclass(frozen=True, kw_only=True, slots=True)
class Cloud:
    """Everything a plan needs to know of the cloud, from one look."""

    cluster: str
    state: str = ""
    """The cluster's own state word; empty if it was never started."""
    nodes: tuple[Node, ...] = ()
    buckets: tuple[Bucket, ...] = ()
    pools: tuple[Pool, ...] = ()
    raw: Mapping[str, object] = field(default_factory=dict)
    """The answer as it came, so that a decision can be replayed."""
    warnings: tuple[str, ...] = ()
    """What was left out of this look because it could not be read, a sentence each; for the report."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LaunchRequest:
    """So many nodes of one kind. `request_id` makes repeating it harmless."""

    request_id: str
    nodearray: str
    vm_size: str
    count: int
    spot: bool = False
    placement_group: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LaunchResult:
    """What became of a launch request."""

    request_id: str
    added: int
    """Nodes really created; may be fewer than asked, down to 0."""
    message: str = ""
    """Why fewer, in the cloud's words."""
    nodes: tuple[tuple[NodeId, str], ...] = ()
    """(id, name) of the nodes created, as far as they can be read back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeOutcome:
    """What became of one node in a terminate request."""

    id: NodeId
    ok: bool
    error: str = ""


class Provider(Protocol):
    """A cloud that can be looked at, grown and shrunk."""

    def cloud(self) -> Cloud:
        """Look once."""

    def launch(self, request: LaunchRequest) -> LaunchResult:
        """Create nodes. The same `request_id` again creates nothing and returns what became of the first.

        After CloudUnreachable, CloudTrouble or CloudGarbled it is unknown whether nodes were created:
        ask `find_launch`.
        """

    def find_launch(self, request_id: str) -> LaunchResult | None:
        """What became of a launch; None if the cloud has never heard of it (then it may be sent again)."""

    def terminate(self, nodes: Sequence[NodeId]) -> tuple[NodeOutcome, ...]:
        """End these nodes. Ids that the cloud does not know any more count as ended."""
