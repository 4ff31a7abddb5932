"""The names of everything in Redis: kombu's as they are, and ours beside them.

kombu's: a queue is one list per priority step, newest on the left, next on the right. `unacked` is a hash,
tag -> [message, exchange, routing key]; `unacked_index` a sorted set, tag -> time of delivery.

Ours all begin like kombu's hash, so that rights which allow that one (`~unacked*`) allow these:

    unacked.consumers       sorted set: consumer -> when it last said that it lives
    unacked.watcher         which of them looks after the others; expires
    unacked.wake.QUEUE      a list of at most one token: something was put there; expires
    unacked.sentry.QUEUE    which of its consumers looks whether something came without a token; expires
    unacked.refused.TAG     a fetch whose answer was lost, and that is not to happen any more; expires
    unacked.set_aside.QUEUE a list: what lay in this queue and is no message, as it was
    unacked.alive.CONSUMER  a channel: who lives listens there, and that is all it is for
"""

from __future__ import annotations

import json
import os
import re
import socket
import uuid
from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MARK = "keeper"


def new_consumer() -> str:
    """A name for this process that no other ever has, and that says where to look for it."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:60]
    return f"{MARK}:{host}:{os.getpid()}:{uuid.uuid4().hex[:12]}"


def consumer_of(tag: str) -> str | None:
    """Who fetched under this tag; None if that was another transport."""
    consumer, _, number = tag.rpartition(":")
    return consumer if consumer.startswith(f"{MARK}:") and number.isdigit() else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """How one app's keys are called. Every name that it gives is whole: the global prefix is in it."""

    prefix: str
    unacked_key: str
    index_key: str
    separator: str
    steps: tuple[int, ...]
    """Priorities, ascending; a message is in the list of the last one that is not above its own."""

    @classmethod
    def of(cls, channel: Any) -> Layout:
        """As the options of this channel of kombu say it."""
        return cls(
            prefix=channel.global_keyprefix,
            unacked_key=channel.unacked_key,
            index_key=channel.unacked_index_key,
            separator=channel.sep,
            steps=tuple(channel.priority_steps),
        )

    @property
    def unacked(self) -> str:
        return f"{self.prefix}{self.unacked_key}"

    @property
    def index(self) -> str:
        return f"{self.prefix}{self.index_key}"

    @property
    def consumers(self) -> str:
        return f"{self.unacked}.consumers"

    @property
    def watcher(self) -> str:
        return f"{self.unacked}.watcher"

    def wake(self, queue: str) -> str:
        return f"{self.unacked}.wake.{queue}"

    def sentry(self, queue: str) -> str:
        return f"{self.unacked}.sentry.{queue}"

    def refused(self, tag: str) -> str:
        return f"{self.unacked}.refused.{tag}"

    def set_aside(self, queue: str) -> str:
        return f"{self.unacked}.set_aside.{queue}"

    def alive(self, consumer: str = "") -> str:
        """Its channel; of nobody, with what all of them begin."""
        return f"{self.unacked}.alive.{consumer}"

    def lists(self, queues: Sequence[str]) -> list[str]:
        """The lists of these queues, most urgent first, and in this order among equals."""
        return [self._list(queue, step) for step in self.steps for queue in queues]

    def list_of(self, message: Mapping[str, Any], queue: str) -> str:
        """The list in which this message stands in this queue, as kombu would say it."""
        try:
            priority = max(0, min(9, int(message["properties"]["priority"])))
        except (TypeError, ValueError, KeyError):
            priority = 0
        return self._list(queue, self.steps[bisect(self.steps, priority) - 1])

    def _list(self, queue: str, step: int) -> str:
        return f"{self.prefix}{queue}{self.separator}{step}" if step else f"{self.prefix}{queue}"


def ending(queue: str) -> str:
    """What an entry of the hash ends with. The exchange that has no name hands a message to the queue that
    its routing key names: so it goes back to the queue that it came from, and to no other of its exchange.
    """
    return f', "", {json.dumps(queue)}]'


def element_of(entry: bytes) -> tuple[bytes, str]:
    """Of an entry of ours: the element as it stood in its queue, and the queue. Raises ValueError."""
    element, found, queue = entry.rpartition(b', "", ')
    if not found or not element.startswith(b"["):
        raise ValueError("no entry of this transport")
    return element[1:], str(json.loads(queue.removesuffix(b"]")))
