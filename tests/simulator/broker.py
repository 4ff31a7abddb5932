"""A broker in memory: queues, what was taken from them, and who took it. Two kinds, as there are two."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any, Literal

from autoscaler_app.brokers import BrokerError, Depth
from autoscaler_app.brokers.broker import Consumers, InLine
from celery_resources.insides.waiting import connection_name
from tests.simulator.clock import Clock

Kind = Literal["redis", "rabbitmq"]


@dataclass(kw_only=True, eq=False)
class Task:
    """One task, and everything that ever became of it."""

    id: str
    queue: str
    cores: int
    seconds: float
    sent: float
    starts: list[tuple[float, str]] = field(default_factory=list)
    """When, and by which process."""
    done: float | None = None

    def __str__(self) -> str:
        return f"{self.id} ({self.cores} cores, {self.seconds:.0f} s)"


@dataclass(kw_only=True, eq=False)
class Delivery:
    """A message that somebody has taken and not acknowledged."""

    tag: str
    task: Task
    process: Any
    """The worker that has it, or had it when it died."""


class SimBroker:
    """As Redis it gives nothing back by itself; as RabbitMQ it gives back what a dead connection had."""

    def __init__(self, clock: Clock, kind: Kind, on_call: Callable[[str], None]) -> None:
        """`on_call` is told of each call of the control side before and after it."""
        self._clock, self.kind, self._on_call = clock, kind, on_call
        self.queues: dict[str, deque[Task]] = {}
        self.unacknowledged: dict[str, Delivery] = {}
        self.consuming: Callable[[], frozenset[str]] = frozenset
        """The node names of all workers that are connected."""
        self.had: list[Delivery] = []
        """What the control side gave back though a worker that lives had it, since somebody last looked."""
        self.is_down = False
        self._tags = count(1)

    # -- the side of producers and workers

    def send(self, task: Task) -> None:
        self.queues.setdefault(task.queue, deque()).append(task)

    def take(self, queue: str, process: Any) -> Delivery | None:
        """The next message of a queue."""
        waiting = self.queues.get(queue)
        if not waiting:
            return None
        made = Delivery(tag=f"tag-{next(self._tags)}", task=waiting.popleft(), process=process)
        self.unacknowledged[made.tag] = made
        return made

    def acknowledge(self, delivery: Delivery) -> None:
        """It is done with; nothing happens if it was given back meanwhile."""
        self.unacknowledged.pop(delivery.tag, None)

    def put_back(self, delivery: Delivery) -> bool:
        """To the head of its queue, if it is not there already."""
        if self.unacknowledged.pop(delivery.tag, None) is None:
            return False
        self.queues.setdefault(delivery.task.queue, deque()).appendleft(delivery.task)
        return True

    def connection_is_gone(self, process: Any) -> None:
        """Of a worker that has died."""
        if self.kind == "rabbitmq":
            for delivery in [each for each in self.unacknowledged.values() if each.process is process]:
                self.put_back(delivery)

    def waiting(self) -> int:
        """Messages that nobody has."""
        return sum(map(len, self.queues.values()))

    # -- what the control side asks (`autoscaler_app.brokers.broker.Broker`)

    def depths(self, queues: Collection[str]) -> Mapping[str, Depth]:
        self._call("depths")
        return {queue: self._depth(self.queues.get(queue)) for queue in queues}

    def _depth(self, waiting: deque[Task] | None) -> Depth:
        oldest = timedelta(seconds=self._clock.at - waiting[0].sent) if waiting else None
        return Depth(waiting=len(waiting or ()), oldest=oldest)

    def in_line(self, task_id: str, queues: Collection[str]) -> InLine | None:
        return None

    def dangers(self) -> tuple[str, ...]:
        return ()

    def unacked(self) -> int | None:
        self._call("unacked")
        return len(self.unacknowledged) if self.kind == "redis" else None

    def unacked_tags(self) -> frozenset[str]:
        self._call("unacked tags")
        return frozenset(self.unacknowledged) if self.kind == "redis" else frozenset()

    def task_ids(self, tags: Collection[str]) -> Mapping[str, str]:
        there = self.unacknowledged
        return {tag: there[tag].task.id for tag in tags if tag in there}

    def give_back(self, tags: Collection[str], queues: Mapping[str, Collection[str]] | None = None) -> int:
        self._call("give back")
        return self._back([self.unacknowledged[tag] for tag in tags if tag in self.unacknowledged])

    def consumers(self) -> Consumers | None:
        self._call("consumers")
        names = self.consuming()
        # One more is the control worker itself.
        return Consumers(count=len(names) + 1, names=frozenset(map(connection_name, names)))

    def give_back_tasks(
        self, task_ids: Collection[str], queues: Mapping[str, Collection[str]] | None = None
    ) -> int:
        self._call("give back tasks")
        if self.kind == "rabbitmq":
            return 0
        return self._back([each for each in self.unacknowledged.values() if each.task.id in task_ids])

    def _back(self, deliveries: list[Delivery]) -> int:
        # Now, and not when somebody looks: by then the same worker may have taken it anew.
        self.had += [
            each for each in deliveries if not each.process.is_dead and each.task.id in each.process.has
        ]
        return sum(map(self.put_back, deliveries))

    def _call(self, what: str) -> None:
        self._on_call(f"broker: {what}")
        if self.is_down:
            raise BrokerError("the broker is down")
