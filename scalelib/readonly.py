"""A provider that can be looked at and not changed: what `read_only`, looks and the shadow have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from scalelib.node import NodeId
from scalelib.provider import Cloud, LaunchRequest, LaunchResult, NodeOutcome, Provider, StillThere, Swept

WHY: Final = "nothing was done: this only looks (read_only, shadow)"


class ReadOnly:
    """Shows the cloud of another provider; launches and ends nothing, and says so."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def cloud(self) -> Cloud:
        """Look once."""
        return self._provider.cloud()

    def launch(self, request: LaunchRequest) -> LaunchResult:
        """Create nothing."""
        return LaunchResult(request_id=request.request_id, added=0, message=WHY)

    def find_launch(self, request_id: str) -> LaunchResult | None:
        """What became of a launch."""
        return self._provider.find_launch(request_id)

    def start(self, nodes: Sequence[NodeId]) -> tuple[NodeOutcome, ...]:
        """Start nothing."""
        return tuple(NodeOutcome(id=node, ok=False, error=WHY) for node in nodes)

    def terminate(self, nodes: Sequence[NodeId]) -> tuple[NodeOutcome, ...]:
        """End nothing."""
        return tuple(NodeOutcome(id=node, ok=False, error=WHY) for node in nodes)

    def close(self) -> None:
        """Let go of connections and files."""
        self._provider.close()

    def request_id(
        self, *, nodearray: str, vm_size: str, count: int, spot: bool, placement_group: str | None
    ) -> str:
        """An id for a launch."""
        return self._provider.request_id(
            nodearray=nodearray, vm_size=vm_size, count=count, spot=spot, placement_group=placement_group
        )

    def settle(self) -> Sequence[LaunchResult]:
        """What became of launches that are open is not found out: that would write it down."""
        return ()

    def sweep(self) -> Sequence[Swept]:
        """Put nothing right."""
        return ()

    def try_again(self) -> Sequence[str]:
        """What failed stays as it is remembered."""
        return ()

    def still_there(self) -> Sequence[StillThere]:
        """Nodes that were told to end and are still there."""
        return self._provider.still_there()

    def set_aside(self) -> Mapping[str, str]:
        """What nothing is to be launched in now."""
        return self._provider.set_aside()

    @property
    def no_ending(self) -> str:
        """Why no node is to be ended."""
        return self._provider.no_ending

    def clock_was_set(self, by: timedelta, now: datetime) -> None:
        """The clock was set."""
        self._provider.clock_was_set(by, now)
