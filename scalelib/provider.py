"""What the engine asks of a cloud. Implemented elsewhere (`cyclecloud_api.provider`), found by name.

Every method raises a `scalelib.errors.ProviderError`, whose type says what a caller can do about it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
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
    is_repeat: bool = False
    """It was told to end before: what is looked at next may be as old as what was looked at now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Swept:
    """A node of ours that no launch accounted for, and what was done about it."""

    id: NodeId
    name: str
    request_id: str
    """The launch that it is of."""
    done: str
    """`adopt`: it is in the books from now on; `remove`: it was ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StillThere:
    """A node that was told to end long ago."""

    id: NodeId
    name: str
    detail: str
    """For how long, for people."""


class Provider(Protocol):
    """A cloud that can be looked at, grown and shrunk.

    The engine needs `cloud`, `launch`, `find_launch` and `terminate`, and `start` where nodes
    `may_start_again`. The other methods are for a control
    side that makes one pass after the other: what is remembered between them, and what stands in the way.
    """

    def cloud(self) -> Cloud:
        """Look once."""

    def launch(self, request: LaunchRequest) -> LaunchResult:
        """Create nodes. The same `request_id` again creates nothing and returns what became of the first.

        After CloudUnreachable, CloudTrouble or CloudGarbled it is unknown whether nodes were created:
        ask `find_launch`.
        """

    def find_launch(self, request_id: str) -> LaunchResult | None:
        """What became of a launch; None if the cloud has never heard of it (then it may be sent again)."""

    def start(self, nodes: Sequence[NodeId]) -> tuple[NodeOutcome, ...]:
        """Start deallocated nodes again; those that are started already count as started."""

    def terminate(self, nodes: Sequence[NodeId]) -> tuple[NodeOutcome, ...]:
        """End these nodes. Ids that the cloud does not know any more count as ended."""

    def close(self) -> None:
        """Let go of connections and files."""

    # -- from pass to pass

    def request_id(
        self, *, nodearray: str, vm_size: str, count: int, spot: bool, placement_group: str | None
    ) -> str:
        """An id for a launch that is decided from the last look; the same decision gets the same id."""

    def settle(self) -> Sequence[LaunchResult]:
        """Find out what became of launches that a crash or a lost answer left open. First thing in a pass."""

    def sweep(self) -> Sequence[Swept]:
        """Put the books right about nodes of ours that no launch accounts for."""

    def still_there(self) -> Sequence[StillThere]:
        """Nodes that were told to end and are there so long after that they are to be told again."""

    def set_aside(self) -> Mapping[str, str]:
        """What nothing is to be launched in now, each with why; no call is made. The keys are bucket ids, and
        `<bucket id>@<placement group>` where it is but a group that fails.
        """

    def try_again(self) -> Sequence[str]:
        """What is set aside may be tried at once, as after its window: a person knows that it is mended. What
        that was.
        """

    @property
    def no_ending(self) -> str:
        """Why no node is to be ended now, as of the last look; empty if nothing stands against it."""

    def clock_was_set(self, by: timedelta, now: datetime) -> None:
        """The clock that gives `now` was set, and not so much time has passed."""
