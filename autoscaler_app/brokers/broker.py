"""What the control side asks of a broker: a few questions, each with a deadline."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from celery_resources.sending.routing import SENT_AT

__all__ = ["SENT_AT", "Broker", "Consumers", "Depth", "InLine"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Depth:
    """How much waits in one queue."""

    waiting: int
    """Messages that no worker holds, of every priority."""
    oldest: timedelta | None = None
    """How long the next task in line has waited; None where the broker or the message does not say."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Consumers:
    """Who takes messages."""

    count: int
    """Connections that do."""
    names: frozenset[str]
    """Of all connections that bear one, whatever they do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InLine:
    """A task that waits."""

    queue: str
    before: int
    """How many are before it in its queue, or were when it was looked for."""


class Broker(Protocol):
    """A message broker that can be looked at.

    Every method opens a connection of its own, is done within its deadline even if the broker is a black
    hole, and raises `BrokerError` if nothing was learnt. It never answers "nothing" for "no answer".
    """

    def depths(self, queues: Collection[str]) -> Mapping[str, Depth]:
        """What waits in each of these queues. A queue that does not exist has none waiting; one that cannot
        be read (a key that is no list, a right that is missing) is left out: it alone is unknown. So is one
        of so many that time ran out.
        """

    def in_line(self, task_id: str, queues: Collection[str]) -> InLine | None:
        """Where this task waits; None if it waits in none of these queues. For a person who asks: whole
        queues may be read. Raises BrokerUnsupported where that is not possible without taking messages.
        """

    def dangers(self) -> tuple[str, ...]:
        """What of the server's own settings loses or repeats work, a sentence each, with what to do."""

    def unacked(self) -> int | None:
        """Messages delivered and not acknowledged, over all queues; None if this broker does not tell.

        Raises CountUnknown if it tells, but not now.
        """

    def unacked_tags(self) -> frozenset[str]:
        """A tag for each message that was delivered and not acknowledged, other for every delivery.

        Empty for a broker that gives back by itself what a closed connection had not acknowledged.
        """

    def task_ids(self, tags: Collection[str]) -> Mapping[str, str]:
        """The task of each of these messages that is still unacknowledged; empty text for what is no task."""

    def give_back(self, tags: Collection[str], queues: Mapping[str, Collection[str]] | None = None) -> int:
        """Give these messages back to their queues, those that are still unacknowledged; how many were.
        `queues`: by tag, from which it was taken, where somebody said so.

        Only what nobody has: what is still with a worker would run twice.
        """

    def consumers(self) -> Consumers | None:
        """Which connections there are that take messages, as far as that can be seen; None if it cannot."""

    def give_back_tasks(
        self, task_ids: Collection[str], queues: Mapping[str, Collection[str]] | None = None
    ) -> int:
        """Give back to their queues the unacknowledged messages of these tasks; how many were given back.
        `queues`: by task, from which their host said it took it, whatever exchange it came through.

        Only for the tasks of a host that is proven dead: on a living one the task would run twice. A broker
        that does this by itself when the connection of the dead host closes answers 0.
        """
