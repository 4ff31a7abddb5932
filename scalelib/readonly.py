"""A provider that can be looked at and not changed: what `read_only` puts around the real one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from scalelib.node import NodeId
from scalelib.provider import Cloud, LaunchRequest, LaunchResult, NodeOutcome, Provider

WHY: Final = "nothing was done: read_only is set"


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

    def terminate(self, nodes: Sequence[NodeId]) -> tuple[NodeOutcome, ...]:
        """End nothing."""
        return tuple(NodeOutcome(id=node, ok=False, error=WHY) for node in nodes)
