"""What the workers of every host do, as they say it themselves. Thread-safe; knows no Celery.

Fed with Celery events (`apply`) and with answers of workers that were asked (`merge`). A full account of a
worker replaces what was believed of it; the events of single tasks refine that until the next account.
Two rules hold whatever arrives in whatever order, is lost or comes twice: nothing is ever called idle that
was not said to be so, and memory is bounded (what could not be kept is counted).
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from autoscaler_app.listening.activity.accounts import (
    Account,
    Change,
    ChangeKind,
    Counters,
    Run,
    Sent,
    moment,
    text,
)
from autoscaler_app.listening.activity.coming import Coming, ComingTask
from autoscaler_app.listening.activity.hosts import HeldTask, HostView, RunningTask
from autoscaler_app.listening.activity.together import host_view
from autoscaler_app.listening.activity.worker import Worker

log = logging.getLogger(__name__)

MAX_WORKERS = 20_000
MAX_FINISHED = 20_000
MAX_SENT = 100_000
MAX_RUNS = 10_000
MAX_SENDS = 10_000

_ENDS = {"task-succeeded", "task-failed", "task-revoked", "task-rejected", "task-retried", "task-cancelled"}


class Activity:
    """The belief about every worker, and how fresh it is."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._workers: dict[str, Worker] = {}
        self._ignored: set[str] = set()
        self._mute: set[str] = set()
        """Workers that answered that they cannot say what they have; until they do."""
        self._coming = Coming()
        self._queue_of: OrderedDict[str, tuple[str, str]] = OrderedDict()
        """Task id -> (name, queue), from `task-sent`: no later event of a task names its queue."""
        self._finished: OrderedDict[tuple[str, str], float] = OrderedDict()
        """(task id, nodename) -> end by the clock of that worker: an older account does not revive it."""
        self._runs: list[Run] = []
        self._watched: frozenset[str] = frozenset()
        self._sends: deque[Sent] = deque(maxlen=MAX_SENDS)
        self._counts: Counter[str] = Counter()

    # -- what comes in

    def apply(self, event: Mapping[str, Any], now: datetime) -> tuple[Change, ...]:
        """Take one Celery event, received at `now`. What cannot be read is counted, not raised."""
        with self._lock:
            self._counts["events"] += 1
            return self._read(self._apply, event, now)

    def merge(self, payload: Mapping[str, Any], now: datetime) -> tuple[Change, ...]:
        """Take the answer of a worker that was asked for its `resources`; as with an event, what cannot be
        read is counted and changes nothing: the worker stays as unknown as it was.
        """
        with self._lock:
            return self._read(self._merge, payload, now)

    def _read(
        self, take: Callable[[Mapping[str, Any], datetime], tuple[Change, ...]], said: Any, now: datetime
    ) -> tuple[Change, ...]:
        try:
            return take(said, now)
        except (
            msgspec.ValidationError,
            KeyError,
            TypeError,
            AttributeError,
            ValueError,
            ArithmeticError,
            OSError,
            RecursionError,
        ) as error:
            self._counts["rejected"] += 1
            log.debug("not understood (%s): %r", error, said)
            return ()

    def reject(self, why: Exception) -> None:
        """An event came that is not even JSON."""
        with self._lock:
            self._counts["rejected"] += 1
        log.debug("not understood (%s)", why)

    def doubt(self) -> None:
        """Something may have gone unheard: what every worker does is unknown until it tells again."""
        with self._lock:
            for worker in self._workers.values():
                worker.told = None

    def clock_was_set(self, by: timedelta, now: datetime) -> None:
        """Our clock was set: what was heard is as long ago as it was."""
        with self._lock:
            for worker in self._workers.values():
                worker.heard = min(worker.heard + by, now)
                worker.told = None if worker.told is None else min(worker.told + by, now)
                if worker.eventless_since is not None:
                    worker.eventless_since = min(worker.eventless_since + by, now)

    def forget_worker(self, nodename: str, pid: int | None = None) -> bool:
        """The worker left: it holds and runs nothing any more. False if it has been started again since.

        With a process id only that life of it is forgotten: one that was started again under this name stays.
        """
        with self._lock:
            worker = self._workers.get(nodename)
            if worker is not None and pid is not None and worker.pid not in (None, pid):
                return False
            self._drop(nodename)
            return True

    def forget(self, hostname: str) -> None:
        """The host is gone for good."""
        with self._lock:
            for name in [name for name, worker in self._workers.items() if worker.hostname == hostname]:
                self._drop(name)

    def ignore(self, nodename: str) -> None:
        """Keep nothing of this worker, ever: it is no node's, but our own."""
        with self._lock:
            self._ignored.add(nodename)
            self._drop(nodename)

    def cannot_say(self, nodename: str) -> None:
        """It answered that it cannot say what it has: no node's worker, as long as it never does say.

        One that has said it before only failed to answer this time.
        """
        with self._lock:
            worker = self._workers.get(nodename)
            if worker is None or not worker.has_told:
                self._mute.add(nodename)
                self._drop(nodename)

    def _drop(self, nodename: str) -> None:
        self._workers.pop(nodename, None)
        self._coming.release(nodename)

    # -- what is asked

    def hosts(self) -> tuple[HostView, ...]:
        """Every host that was heard, in order of name."""
        with self._lock:
            by_host: dict[str, list[Worker]] = {}
            for name in sorted(self._workers):
                worker = self._workers[name]
                by_host.setdefault(worker.hostname, []).append(worker)
            return tuple(host_view(hostname, by_host[hostname]) for hostname in sorted(by_host))

    def host(self, hostname: str) -> HostView | None:
        """One host; None if it was never heard or is forgotten."""
        with self._lock:
            workers = [worker for worker in self._workers.values() if worker.hostname == hostname]
            workers.sort(key=lambda worker: worker.nodename)
            return host_view(hostname, workers) if workers else None

    def nodenames(self) -> frozenset[str]:
        """Every worker that was heard and is not forgotten, also those of which nothing is kept."""
        with self._lock:
            return frozenset(self._workers) | self._ignored | self._mute

    def is_served(self, queue: str) -> bool:
        """Somebody consumes this queue and is not known to be full: a task sent there now may start now."""
        with self._lock:
            return any(
                queue in worker.queues and not (worker.fenced or worker.offline or worker.held)
                for worker in self._workers.values()
            )

    def coming(self) -> tuple[ComingTask, ...]:
        """Tasks with an ETA or countdown that were not seen to start, soonest first."""
        with self._lock:
            return self._coming.tasks()

    def take_runs(self) -> tuple[Run, ...]:
        """The runs that ended since the last call, for the run time statistics."""
        with self._lock:
            runs, self._runs = tuple(self._runs), []
            return runs

    def watch(self, names: frozenset[str]) -> None:
        """Remember when tasks of these names are sent, until `take_sends`."""
        with self._lock:
            self._watched = names

    def take_sends(self) -> tuple[Sent, ...]:
        """What was sent of the watched names since the last call; of very many, the last."""
        with self._lock:
            sends = tuple(self._sends)
            self._sends.clear()
            return sends

    def counters(self) -> Counters:
        """What was taken, and what was lost or could not be kept."""
        with self._lock:
            return Counters(
                workers=len(self._workers),
                coming=len(self._coming),
                **{
                    name: self._counts[name]
                    for name in ("events", "rejected", "dropped", "evicted", "gaps", "stale")
                },
            )

    # -- events

    def _apply(self, event: Mapping[str, Any], now: datetime) -> tuple[Change, ...]:
        kind = text(event, "type")
        if kind == "task-sent":
            return self._sent(event, now)
        nodename = text(event, "hostname")
        if nodename in self._ignored or not kind.startswith(("worker-", "task-")):
            return ()
        if kind == "worker-resources":
            changes = self._account(nodename, event, now)
            self._workers[nodename].eventless_since = None
            return changes
        if nodename in self._mute:
            return ()
        worker = self._heard(nodename, event.get("pid"), now)
        worker.eventless_since = None
        worker.offline = kind == "worker-offline"
        if kind == "task-received":
            self._received(worker, event)
        elif kind == "task-started":
            self._started(worker, event, now)
        elif kind in _ENDS:
            self._ended(worker, event)
        return ()

    def _sent(self, event: Mapping[str, Any], now: datetime) -> tuple[Change, ...]:
        task_id, name = text(event, "uuid"), text(event, "name", "")
        queue = text(event, "queue", "") or text(event, "routing_key", "")
        self._queue_of[task_id] = (name, queue)
        if len(self._queue_of) > MAX_SENT:
            self._queue_of.popitem(last=False)
            self._counts["evicted"] += 1
        if name in self._watched:
            self._sends.append(Sent(name, queue, now))
        if event.get("eta") and not self._coming.add(task_id, name, queue, text(event, "eta"), now):
            self._counts["dropped"] += 1
        return (Change(kind=ChangeKind.SENT, queue=queue),)

    def _heard(self, nodename: str, pid: object, now: datetime) -> Worker:
        worker = self._workers.get(nodename)
        # Another process id is another life: what the old one ran died with it, what this one does is unknown
        # until it tells.
        is_new_life = worker is not None and isinstance(pid, int) and worker.pid not in (None, pid)
        if worker is None or is_new_life:
            self._make_room()
            self._coming.release(nodename)
            worker = self._workers[nodename] = Worker(nodename, now)
        if isinstance(pid, int):
            worker.pid = pid
        worker.heard = max(worker.heard, now)
        return worker

    def _make_room(self) -> None:
        """Who was not heard for longest is forgotten first; a node that matters is heard again."""
        if len(self._workers) >= MAX_WORKERS:
            self._drop(min(self._workers, key=lambda name: self._workers[name].heard))
            self._counts["dropped"] += 1

    def _received(self, worker: Worker, event: Mapping[str, Any]) -> None:
        task_id = text(event, "uuid")
        if event.get("eta"):
            self._coming.received(task_id, worker.nodename)
        elif task_id not in worker.running and not self._is_over(task_id, worker, event):
            name, queue = self._queue_of.get(task_id, ("", ""))
            held = HeldTask(id=task_id, name=text(event, "name", "") or name, queue=queue)
            self._counts["dropped"] += not worker.hold(held)

    def _started(self, worker: Worker, event: Mapping[str, Any], now: datetime) -> None:
        task_id, started = text(event, "uuid"), moment(event["timestamp"])
        worker.tells_tasks = True
        self._coming.discard(task_id)
        held = worker.held.pop(task_id, None)
        if task_id in worker.running or self._is_over(task_id, worker, event):
            return
        name, queue = self._queue_of.get(task_id, ("", ""))
        if held is not None:
            name, queue = held.name or name, held.queue or queue
        task = RunningTask(id=task_id, name=name, queue=queue, started=started, nodename=worker.nodename)
        self._counts["dropped"] += not worker.run(task, now)

    def _ended(self, worker: Worker, event: Mapping[str, Any]) -> None:
        task_id, at = text(event, "uuid"), moment(event["timestamp"]).timestamp()
        worker.tells_tasks = True
        is_back = event["type"] == "task-retried" or bool(event.get("requeue"))
        if is_back:
            self._coming.given_back(task_id)
        else:
            self._coming.discard(task_id)
        held = worker.held.pop(task_id, None)
        task = worker.running.get(task_id)
        if task is not None and task.started.timestamp() <= at:
            worker.running.pop(task_id)
        self._finished[task_id, worker.nodename] = at
        self._finished.move_to_end((task_id, worker.nodename))
        if len(self._finished) > MAX_FINISHED:
            self._finished.popitem(last=False)
        if event["type"] == "task-succeeded":
            known = task or held
            queue = (known.queue if known else "") or self._queue_of.get(task_id, ("", ""))[1]
            self._note_run(queue, event.get("runtime"), datetime.fromtimestamp(at, UTC))
        if not is_back:
            self._queue_of.pop(task_id, None)

    def _is_over(self, task_id: str, worker: Worker, event: Mapping[str, Any]) -> bool:
        """The run that this event tells of is known to have ended: events may come out of order."""
        return float(event["timestamp"]) <= self._finished.get((task_id, worker.nodename), float("-inf"))

    def _note_run(self, queue: str, seconds: object, at: datetime, count: int = 1) -> None:
        if not queue or not isinstance(seconds, int | float) or not 0 <= seconds < float("inf"):
            return
        if len(self._runs) >= MAX_RUNS:
            self._counts["dropped"] += 1
            return
        self._runs.append(Run(queue=queue, seconds=float(seconds), at=at, count=count))

    # -- accounts

    def _merge(self, payload: Mapping[str, Any], now: datetime) -> tuple[Change, ...]:
        return self._account(text(payload, "nodename"), payload, now)

    def _account(self, nodename: str, payload: Mapping[str, Any], now: datetime) -> tuple[Change, ...]:
        account = msgspec.convert(payload, Account, strict=False)
        if nodename in self._ignored:
            return ()
        known = self._workers.get(nodename)
        if known is not None and known.is_newer_than(account):
            self._counts["stale"] += 1
            return ()
        self._mute.discard(nodename)
        worker = self._heard(nodename, account.pid, now)
        self._counts["gaps"] += worker.gap_before(account)
        changes = worker.take(account, now, self._finished)
        if not account.scheduled:
            self._coming.release(nodename)
        for run in worker.ended_runs:
            self._note_run(run.queue, run.seconds, run.at, run.count)
        worker.ended_runs.clear()
        return changes
