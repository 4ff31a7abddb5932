"""Hands that are tied: a broker and workers that can be looked at, and to which nothing is done.

Each is put around a real one, as `scalelib.readonly` is around a cloud. A command that only looks has them,
and so has a control side in the shadow: what neither may do is kept from them here, and no method of a pass
has to ask whether it is in earnest.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from autoscaler_app.brokers import Broker, Depth
from autoscaler_app.brokers.broker import Consumers, InLine
from autoscaler_app.listening.workers import Workers

LOOKS = frozenset({"resources", "claims"})
"""The commands to workers that only ask."""


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
