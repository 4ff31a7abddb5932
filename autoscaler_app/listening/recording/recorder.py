"""Events in, lines of a trace out: each task when it has ended. Knows no broker and no file.

When a task came is known from `task-sent`; without that it is taken to have come when a worker received it.
Workers without task events tell how many tasks of a queue ended, and their seconds in all: from them as many
tasks of the mean length are written.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from autoscaler_app.listening import door
from autoscaler_app.listening.activity.accounts import LONGEST_RUN, Account, text
from autoscaler_app.listening.activity.coming import place_of
from autoscaler_app.listening.recording.trace import VERSION, End, Gap, Head, Kind, Line, Tasks
from autoscaler_app.schedule import CONTROL_QUEUE, NOTES_QUEUE
from celery_resources import Requirement

MOST_OPEN = 200_000
"""Tasks that were sent and have not ended; of more, the oldest are given up."""
MOST_WORKERS = 20_000
OURS = (CONTROL_QUEUE, NOTES_QUEUE)

_RAN = ("task-succeeded", "task-failed", "task-retried")
_GAVE_UP = ("task-revoked", "task-rejected", "task-cancelled")


@dataclass(slots=True)
class _Open:
    """A task that has not ended."""

    at: float
    """When it came."""
    queue: str = ""
    due: float | None = None
    is_sent: bool = False
    """It was heard that it was sent; else `at` is when a worker had it."""
    waited: float | None = None
    started: float | None = None


class Recorder:
    """One recording. `write` takes each line; `need` says what the tasks of a queue need."""

    def __init__(
        self,
        began: datetime,
        write: Callable[[Line], None],
        need: Callable[[str], Requirement],
        note: str = "",
    ) -> None:
        self._began, self._write, self._need = began, write, need
        self._open: OrderedDict[str, _Open] = OrderedDict()
        """By id, the oldest first."""
        self._ended: OrderedDict[tuple[str, float], Mapping[str, tuple[int, float]]] = OrderedDict()
        """By worker and its start: what it last counted itself."""
        self._tells_tasks: set[str] = set()
        self._last = 0.0
        """When something was last heard."""
        self._is_deaf = False
        self.queues: set[str] = set()
        self.written = 0
        self.unplaced = 0
        self.dropped = 0
        self.rejected = 0
        """Events that could not be understood."""
        write(Head(version=VERSION, began=began, note=note))

    # -- what a listener tells

    @property
    def losses(self) -> tuple[int, int]:
        """Events that could not be understood, and tasks that had no room."""
        return self.rejected, self.dropped

    def apply(self, event: Mapping[str, Any], now: datetime) -> tuple[()]:
        """Take one event, heard at `now`. What cannot be read is counted, not raised."""
        at = self._seconds(now)
        if self._is_deaf:
            self._is_deaf = False
            self._write(Gap(at=self._last, seconds=max(0.0, round(at - self._last, 3))))
        self._last = at
        try:
            self._take(event, at)
        except door.NO_SENSE as error:
            self.reject(error, event)
        return ()

    def reject(self, why: Exception, said: object = None) -> None:
        """Something came that could not be read."""
        self.rejected += 1

    def doubt(self) -> None:
        """From the last word on something may have gone unheard."""
        self._is_deaf = True

    def close(self, now: datetime) -> None:
        """What has not ended is written as it stands."""
        end = self._seconds(now)
        for task in self._open.values():
            if task.started is not None:
                self._put(task, end - task.started, cut=True)
            elif task.queue and task.queue not in OURS:
                self._put(task, None)
        self._open.clear()
        self._write(End(seconds=end, unplaced=self.unplaced, dropped=self.dropped))

    # -- events

    def _seconds(self, now: datetime) -> float:
        # By our own clock alone: those of the machines differ by more than a short task takes.
        return max(0.0, round((now - self._began).total_seconds(), 3))

    def _take(self, event: Mapping[str, Any], at: float) -> None:
        kind = text(event, "type")
        if kind == "worker-resources":
            self._account(text(event, "hostname"), event, at)
        elif kind.startswith("task-"):
            self._task(kind, text(event, "uuid"), event, at)

    def _task(self, kind: str, task_id: str, event: Mapping[str, Any], at: float) -> None:
        if kind == "task-sent":
            self._sent(task_id, event, at)
            return
        self._tells_tasks.add(text(event, "hostname"))
        if kind == "task-received":
            self._opened(task_id, at)
        elif kind == "task-started":
            task = self._opened(task_id, at)
            if task.waited is None and task.is_sent:
                task.waited = max(0.0, round(at - max(task.at, task.due or 0.0), 3))
            task.started = at
        elif kind in _RAN:
            self._ran(task_id, event, at)
        elif kind in _GAVE_UP and not event.get("requeue"):
            self._open.pop(task_id, None)

    def _sent(self, task_id: str, event: Mapping[str, Any], at: float) -> None:
        queue, _ = place_of(event)
        due = None
        if event.get("eta"):
            due = self._seconds(datetime.fromisoformat(text(event, "eta").replace("Z", "+00:00")))
        # A worker may have been heard first: events of different senders come in any order.
        task = self._opened(task_id, at)
        task.at, task.queue, task.due, task.is_sent = min(task.at, at), queue, due, True

    def _opened(self, task_id: str, at: float) -> _Open:
        task = self._open.get(task_id)
        if task is None:
            task = self._open[task_id] = _Open(at)
            if len(self._open) > MOST_OPEN:
                self._open.popitem(last=False)
                self.dropped += 1
        return task

    def _ran(self, task_id: str, event: Mapping[str, Any], at: float) -> None:
        task = self._open.pop(task_id, None)
        if task is None:
            self.unplaced += 1
            return
        said, seconds = event.get("runtime"), None
        if isinstance(said, int | float) and 0 <= said <= LONGEST_RUN:
            seconds = float(said)
        elif task.started is not None:
            seconds = at - task.started
        if seconds is not None:
            self._put(task, seconds)

    def _account(self, nodename: str, said: Mapping[str, Any], at: float) -> None:
        account = msgspec.convert(said, Account, strict=False)
        for has in (*account.running, *account.held):
            known = self._open.get(has.id)
            if known is not None and not known.queue:
                known.queue = has.queue
        key = (nodename, account.started)
        before = self._ended.get(key)
        self._ended[key] = account.ended
        self._ended.move_to_end(key)
        if len(self._ended) > MOST_WORKERS:
            self._ended.popitem(last=False)
        if before is None or nodename in self._tells_tasks:
            return
        for queue, (runs, seconds) in account.ended.items():
            runs_before, seconds_before = before.get(queue, (0, 0.0))
            if runs > runs_before:
                each = max(0.0, (seconds - seconds_before) / (runs - runs_before))
                task = _Open(max(0.0, at - each), queue)
                self._put(task, min(each, LONGEST_RUN), count=runs - runs_before)

    # -- lines

    def _put(self, task: _Open, seconds: float | None, *, count: int = 1, cut: bool = False) -> None:
        queue = task.queue
        if queue in OURS:
            return
        if not queue:
            self.unplaced += count
            return
        if queue not in self.queues:
            self.queues.add(queue)
            need = self._need(queue)
            self._write(
                Kind(
                    queue=queue,
                    constraints=dict(need.constraints),
                    node_count=need.node_count,
                    colocated=need.colocated,
                    exclusive=need.exclusive,
                )
            )
        self.written += count
        self._write(
            Tasks(
                at=round(task.at, 3),
                queue=queue,
                run=None if seconds is None else round(max(0.0, seconds), 4),
                count=count,
                due=task.due,
                waited=task.waited,
                cut=cut,
            )
        )
