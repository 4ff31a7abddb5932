"""Hands that are tied: a cloud, a broker and workers that can be looked at, and to which nothing is done.

Each is put around a real one. A command that only looks has them, and so has a control side in the shadow:
what neither may do is kept from them here, and no method of a pass has to ask whether it is in earnest.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from autoscaler_app.brokers import Broker, Depth
from autoscaler_app.brokers.broker import Consumers, InLine
from autoscaler_app.listening.workers import Workers
from scalelib.node import NodeId
from scalelib.provider import Cloud, LaunchRequest, LaunchResult, NodeOutcome, Provider, StillThere, Swept

LOOKS = frozenset({"resources", "claims"})
"""The commands to workers that only ask."""

TIED = "nothing is done here: this only looks"


class TiedProvider:
    """A cloud in which nothing is launched or ended."""

    def __init__(self, real: Provider) -> None:
        self._real = real

    def cloud(self) -> Cloud:
        """Look once."""
        return self._real.cloud()

    def launch(self, request: LaunchRequest) -> LaunchResult:
        """Create nothing."""
        return LaunchResult(request_id=request.request_id, added=0, message=TIED)

    def find_launch(self, request_id: str) -> LaunchResult | None:
        """What became of a launch."""
        return self._real.find_launch(request_id)

    def start(self, nodes: Sequence[NodeId]) -> tuple[NodeOutcome, ...]:
        """Start nothing."""
        return tuple(NodeOutcome(id=node, ok=False, error=TIED) for node in nodes)

    def terminate(self, nodes: Sequence[NodeId]) -> tuple[NodeOutcome, ...]:
        """End nothing."""
        return tuple(NodeOutcome(id=node, ok=False, error=TIED) for node in nodes)

    def close(self) -> None:
        """Let go of connections and files."""
        self._real.close()

    def request_id(
        self, *, nodearray: str, vm_size: str, count: int, spot: bool, placement_group: str | None
    ) -> str:
        """An id that is never sent."""
        return "tied"

    def settle(self) -> Sequence[LaunchResult]:
        """Open launches stay open: finding out may send one again."""
        return ()

    def sweep(self) -> Sequence[Swept]:
        """The books stay as they are, and so does what is in none."""
        return ()

    def still_there(self) -> Sequence[StillThere]:
        """Nobody is told again."""
        return ()

    def set_aside(self) -> Mapping[str, str]:
        """What nothing is to be launched in now."""
        return self._real.set_aside()

    @property
    def no_ending(self) -> str:
        """Why no node is to be ended now."""
        return self._real.no_ending

    def clock_was_set(self, by: timedelta, now: datetime) -> None:
        """The clock was set."""
        self._real.clock_was_set(by, now)


class TiedBroker:
    """A broker in which no message is moved."""

    def __init__(self, real: Broker) -> None:
        self._real = real

    def depths(self, queues: Collection[str]) -> Mapping[str, Depth]:
        """What waits."""
        return self._real.depths(queues)

    def in_line(self, task_id: str, queues: Collection[str]) -> InLine | None:
        """Where a task waits."""
        return self._real.in_line(task_id, queues)

    def dangers(self) -> tuple[str, ...]:
        """What of its settings loses work."""
        return self._real.dangers()

    def unacked(self) -> int | None:
        """How much is unacknowledged."""
        return self._real.unacked()

    def unacked_tags(self) -> frozenset[str]:
        """What is."""
        return self._real.unacked_tags()

    def task_ids(self, tags: Collection[str]) -> Mapping[str, str]:
        """Which tasks these are."""
        return self._real.task_ids(tags)

    def give_back(self, tags: Collection[str], queues: Mapping[str, Collection[str]] | None = None) -> int:
        """Give nothing back."""
        return 0

    def consumers(self) -> Consumers | None:
        """Who takes messages."""
        return self._real.consumers()

    def give_back_tasks(
        self, task_ids: Collection[str], queues: Mapping[str, Collection[str]] | None = None
    ) -> int:
        """Give nothing back."""
        return 0


class TiedWorkers:
    """Workers that are asked, and never told."""

    def __init__(self, real: Workers) -> None:
        self._real = real

    def ask(
        self, command: str, nodenames: Collection[str] | None, arguments: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Ask what only asks; of anything else nobody hears."""
        return self._real.ask(command, nodenames, arguments) if command in LOOKS else {}

    def ask_aside(
        self,
        command: str,
        nodenames: Collection[str],
        arguments: Mapping[str, Any],
        take: Callable[[Mapping[str, Any]], object],
    ) -> None:
        """The same without waiting."""
        if command in LOOKS:
            self._real.ask_aside(command, nodenames, arguments, take)

    def tell(self, command: str, nodenames: Collection[str]) -> None:
        """Tell nobody anything."""
