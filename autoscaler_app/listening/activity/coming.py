"""Work that is announced for later: tasks with an ETA or a countdown."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from autoscaler_app.listening.activity.accounts import ComingSaid, LaterSaid, text

MAX_COMING = 100_000
MOST_REMEMBERED = 2_000
"""Tasks for later that are written down; of more the soonest."""
TAKEN_WITHIN = timedelta(seconds=10)
"""A worker that has room takes what stands in its queues within so long."""
THE_BROKER = "the broker"
"""As who holds a task that RabbitMQ keeps out of its queue until its time."""
_DELAYS = "celery_delayed_"
"""How the exchanges of Celery begin that do so."""
_DELAY = re.compile(r"(?:[01]\.)+")
"""What stands there before the routing key: the seconds, as bits."""
LATE = timedelta(minutes=10)
"""How long after its time a task that was not seen to start is still reckoned with: its start may have been
missed, and then it is counted as waiting, held or running anyway."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ComingTask:
    """A task that is to start at a known time."""

    id: str
    name: str
    queue: str
    at: datetime
    held_by: str = ""
    """Nodename of the worker that holds it until then, or THE_BROKER; empty while it is in its queue."""
    since: datetime | None = None
    """Since when that is known."""


class Coming:
    """What is announced, by task id."""

    def __init__(self) -> None:
        self._tasks: dict[str, ComingTask] = {}
        self._held: dict[str, set[str]] = {}
        """Ids by the worker that holds them."""
        self._queued: dict[str, set[str]] = {}
        """Ids of the others by their queue."""

    def __len__(self) -> int:
        return len(self._tasks)

    def tasks(self) -> tuple[ComingTask, ...]:
        """All of them, soonest first."""
        return tuple(sorted(self._tasks.values(), key=lambda task: (task.at, task.id)))

    # -- events

    def add(self, task_id: str, name: str, queue: str, eta: str, now: datetime, *, held_by: str = "") -> bool:
        """Take one; False if there is no room. Raises ValueError if `eta` is no time."""
        at = datetime.fromisoformat(eta)
        at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        task = ComingTask(id=task_id, name=name, queue=queue, at=at, held_by=held_by, since=now)
        return self._put(task, now)

    def received(self, task_id: str, nodename: str) -> None:
        """A worker has it now."""
        self._move(task_id, nodename)

    def given_back(self, task_id: str) -> None:
        """It is in its queue again."""
        self._move(task_id, "")

    def release(self, nodename: str) -> None:
        """This worker holds none any more: they are back in their queues."""
        for task_id in tuple(self._held.get(nodename, ())):
            self._move(task_id, "")

    def discard(self, task_id: str) -> None:
        """It started, or never will."""
        task = self._tasks.pop(task_id, None)
        if task is not None:
            where, key = self._place(task)
            where[key].discard(task_id)
            if not where[key]:
                del where[key]

    # -- accounts

    def tell(self, said: LaterSaid, nodename: str, backs: int, now: datetime) -> None:
        """What a worker says of itself, events or not. `backs`: the last that is known of what went back."""
        named = {each.id for each in said.tasks}
        for each in said.tasks:
            self._learn(each, nodename, now)
        for each in said.went_back:
            known = self._tasks.get(each.id)
            is_news = each.back > backs and each.id not in named
            if is_news and (known is None or known.held_by in ("", nodename)):
                self._learn(each, "", now)
        if not said.more:
            # It went on, was revoked or has expired: nobody says so where there are no events.
            for task_id in self._held.get(nodename, set()) - named:
                self.discard(task_id)

    def recall(self, tasks: Iterable[ComingTask], now: datetime) -> None:
        """What was remembered to be in the queues."""
        for task in tasks:
            if task.id not in self._tasks:
                self._put(replace(task, since=now), now)

    def fall_due(self, now: datetime) -> None:
        """What the broker kept until now is in its queue."""
        for task_id in tuple(self._held.get(THE_BROKER, ())):
            if self._tasks[task_id].at <= now:
                self._move(task_id, "")

    def are_not_in(self, queues: Iterable[str], now: datetime) -> None:
        """Somebody has long had room for whatever stands in these queues: what is said to be there is not (it
        was revoked, say), and must not hide another task.
        """
        for queue in queues:
            for task_id in tuple(self._queued.get(queue, ())):
                since = self._tasks[task_id].since
                if since is None or now - since > TAKEN_WITHIN:
                    self.discard(task_id)

    def _learn(self, said: ComingSaid, held_by: str, now: datetime) -> None:
        at, before = datetime.fromtimestamp(said.at, UTC), self._tasks.get(said.id)
        if before is None or (before.held_by, before.at, before.queue) != (held_by, at, said.queue):
            name = "" if before is None else before.name
            task = ComingTask(id=said.id, name=name, queue=said.queue, at=at, held_by=held_by, since=now)
            self._put(task, now)

    # -- the books

    def _put(self, task: ComingTask, now: datetime) -> bool:
        if task.at <= now:
            return True  # due already: nothing to wait for
        if len(self._tasks) >= MAX_COMING and task.id not in self._tasks:
            self._forget_the_late(now)
            if len(self._tasks) >= MAX_COMING:
                return False
        self.discard(task.id)
        self._tasks[task.id] = task
        where, key = self._place(task)
        where.setdefault(key, set()).add(task.id)
        return True

    def _move(self, task_id: str, held_by: str) -> None:
        task = self._tasks.get(task_id)
        if task is not None and task.held_by != held_by:
            self.discard(task_id)
            moved = self._tasks[task_id] = replace(task, held_by=held_by)
            where, key = self._place(moved)
            where.setdefault(key, set()).add(task_id)

    def _place(self, task: ComingTask) -> tuple[dict[str, set[str]], str]:
        return (self._held, task.held_by) if task.held_by else (self._queued, task.queue)

    def _forget_the_late(self, now: datetime) -> None:
        for task_id in [task_id for task_id, task in self._tasks.items() if task.at + LATE < now]:
            self.discard(task_id)


def place_of(event: Mapping[str, Any]) -> tuple[str, str]:
    """The queue that a task was sent to, and who holds it until its time, by its `task-sent`."""
    queue, key = text(event, "queue", ""), text(event, "routing_key", "")
    if text(event, "exchange", "").startswith(_DELAYS):
        # The queue itself is not told. Nearly always its routing key is its name.
        return queue or _DELAY.sub("", key, count=1), THE_BROKER
    return queue or key, ""


def to_json(tasks: Iterable[ComingTask]) -> list[list[str]]:
    """What the broker has until its time, to be remembered. The workers that hold the others say so."""
    with_broker = (task for task in tasks if task.held_by in ("", THE_BROKER))
    soonest = itertools.islice(with_broker, MOST_REMEMBERED)
    return [[task.id, task.name, task.queue, task.at.isoformat(), task.held_by] for task in soonest]


def from_json(value: Iterable[Sequence[str]]) -> Iterator[ComingTask]:
    """What was remembered."""
    for task_id, name, queue, at, *held_by in value:
        # A version before wrote down only what stands in queues.
        held = held_by[0] if held_by else ""
        yield ComingTask(id=task_id, name=name, queue=queue, at=datetime.fromisoformat(at), held_by=held)
