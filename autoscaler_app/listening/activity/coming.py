"""Work that is announced for later: tasks with an ETA or a countdown."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

MAX_COMING = 100_000
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
    """Nodename of the worker that received it and holds it until then; empty while it is in its queue."""


class Coming:
    """What is announced, by task id."""

    def __init__(self) -> None:
        self._tasks: dict[str, ComingTask] = {}
        self._held: dict[str, set[str]] = {}
        """Ids by the worker that holds them."""

    def __len__(self) -> int:
        return len(self._tasks)

    def add(self, task_id: str, name: str, queue: str, eta: str, now: datetime) -> bool:
        """Take one; False if there is no room. Raises ValueError if `eta` is no time."""
        at = datetime.fromisoformat(eta)
        at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        if at <= now:
            return True  # due already: nothing to wait for
        if len(self._tasks) >= MAX_COMING and task_id not in self._tasks:
            self._forget_the_late(now)
            if len(self._tasks) >= MAX_COMING:
                return False
        self._tasks[task_id] = ComingTask(id=task_id, name=name, queue=queue, at=at)
        return True

    def received(self, task_id: str, nodename: str) -> None:
        """A worker has it now."""
        task = self._tasks.get(task_id)
        if task is not None:
            self._tasks[task_id] = replace(task, held_by=nodename)
            self._held.setdefault(nodename, set()).add(task_id)

    def given_back(self, task_id: str) -> None:
        """It is in its queue again."""
        task = self._tasks.get(task_id)
        if task is not None and task.held_by:
            self._held.get(task.held_by, set()).discard(task_id)
            self._tasks[task_id] = replace(task, held_by="")

    def release(self, nodename: str) -> None:
        """This worker holds none any more: they are back in their queues."""
        for task_id in self._held.pop(nodename, ()):
            task = self._tasks.get(task_id)
            if task is not None and task.held_by == nodename:
                self._tasks[task_id] = replace(task, held_by="")

    def discard(self, task_id: str) -> None:
        """It started, or never will."""
        task = self._tasks.pop(task_id, None)
        if task is not None and task.held_by:
            self._held.get(task.held_by, set()).discard(task_id)

    def tasks(self) -> tuple[ComingTask, ...]:
        """All of them, soonest first."""
        return tuple(sorted(self._tasks.values(), key=lambda task: (task.at, task.id)))

    def _forget_the_late(self, now: datetime) -> None:
        for task_id in [task_id for task_id, task in self._tasks.items() if task.at + LATE < now]:
            self.discard(task_id)
