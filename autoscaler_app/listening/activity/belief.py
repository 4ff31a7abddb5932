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
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from autoscaler_app.listening import door
from autoscaler_app.listening.activity.accounts import (
    LONGEST_RUN,
    Account,
    Change,
    ChangeKind,
    Counters,
    Run,
    Sent,
    moment,
    text,
)
from autoscaler_app.listening.activity.coming import TAKEN_WITHIN, Coming, ComingTask, place_of
from autoscaler_app.listening.activity.hosts import HeldTask, HostView, RunningTask
from autoscaler_app.listening.activity.lives import Lives
from autoscaler_app.listening.activity.outcomes import Ends, Outcomes
from autoscaler_app.listening.activity.together import host_view
from autoscaler_app.listening.activity.worker import Worker
from autoscaler_app.listening.shown import shortened

log = logging.getLogger(__name__)

MAX_FINISHED = 20_000
MAX_SENT = 100_000
MAX_RUNS = 10_000
MAX_SENDS = 10_000

_ENDS = {"task-succeeded", "task-failed", "task-revoked", "task-rejected", "task-retried", "task-cancelled"}


class Activity:
    """The belief about every worker, and how fresh it is."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._ignored: set[str] = set()
        self._mute: set[str] = set()
        """Workers that answered that they cannot say what they have; until they do."""
        self._coming = Coming()
        self._counts: Counter[str] = Counter()
        self._lives = Lives(self._coming, self._counts)
        self._queue_of: OrderedDict[str, tuple[str, str]] = OrderedDict()
        """Task id -> (name, queue), from `task-sent`: no later event of a task names its queue."""
        self._finished: OrderedDict[tuple[str, str], float] = OrderedDict()
        """(task id, nodename) -> end by the clock of that worker: an older account does not revive it."""
        self._runs: list[Run] = []
        self._outcomes = Outcomes()
        self._watched: frozenset[str] = frozenset()
        self._sends: deque[Sent] = deque(maxlen=MAX_SENDS)

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
        except door.NO_SENSE as error:
            self.reject(error, said)
            return ()

    def reject(self, why: Exception, said: object = None) -> None:
        """Something came that could not be read; None: it is not even JSON."""
        with self._lock:
            self._counts["rejected"] += 1
        if log.isEnabledFor(logging.DEBUG):
            log.debug("not understood (%s): %s", shortened(str(why), 300), shortened(said, 1000))

    def doubt(self) -> None:
        """Something may have gone unheard: what every worker does is unknown until it tells again."""
        with self._lock:
            for worker in self._lives:
                worker.told = None
                worker.words += 1

    def clock_was_set(self, by: timedelta, now: datetime) -> None:
        """Our clock was set: what was heard is as long ago as it was."""
        with self._lock:
            for worker in self._lives:
                worker.words += 1
                worker.heard = min(worker.heard + by, now)
                worker.told = None if worker.told is None else min(worker.told + by, now)
                worker.worked = None if worker.worked is None else min(worker.worked + by, now)
                if worker.eventless_since is not None:
                    worker.eventless_since = min(worker.eventless_since + by, now)

    def forget_worker(self, nodename: str, pid: int | None = None, started: float = 0.0) -> bool:
        """The worker left: it holds and runs nothing any more. False if that is another life than is known.

        With a process id (and when it started, 0: not said) only that life of it is forgotten: one that was
        started again under this name, or beside it, stays.
        """
        with self._lock:
            lives = self._lives.under(nodename)
            leaving = [worker for worker in lives if pid is None or worker.is_life(pid, started)]
            for worker in leaving:
                self._lives.end(worker)
            return bool(leaving) or not lives

    def forget(self, *hostnames: str) -> None:
        """These hosts are gone for good."""
        with self._lock:
            gone = frozenset(hostnames)
            for worker in [worker for worker in self._lives if self._lives.home(worker) in gone]:
                self._lives.end(worker)

    def ignore(self, nodename: str) -> None:
        """Keep nothing of this worker, ever: it is no node's, but our own."""
        with self._lock:
            self._ignored.add(nodename)
            self._lives.drop(nodename)

    def cannot_say(self, nodename: str) -> None:
        """It answered that it cannot say what it has: no node's worker, as long as it never does say.

        One that has said it before only failed to answer this time.
        """
        with self._lock:
            if not any(worker.has_told for worker in self._lives.under(nodename)):
                self._mute.add(nodename)
                self._lives.drop(nodename)

    def know_machines(self, homes: Mapping[str, str]) -> None:
        """The machines that the cloud has: by short name and by address, how the host of each is called. A
        worker belongs to the machine that it says it runs on, whatever host its node name says.
        """
        with self._lock:
            self._lives.know_machines(homes)

    # -- what is asked

    def hosts(self) -> tuple[HostView, ...]:
        """Every host that was heard, in order of name."""
        with self._lock:
            return self._lives.hosts()

    def host(self, hostname: str) -> HostView | None:
        """One host; None if it was never heard or is forgotten."""
        with self._lock:
            workers = [worker for worker in self._lives if self._lives.home(worker) == hostname]
            return host_view(hostname, workers) if workers else None

    def nodenames(self) -> frozenset[str]:
        """Every worker that was heard and is not forgotten, also those of which nothing is kept."""
        with self._lock:
            return self._lives.names() | self._ignored | self._mute

    def is_served(self, queue: str) -> bool:
        """Somebody consumes this queue and is not known to be full: a task sent there now may start now."""
        with self._lock:
            return any(
                queue in worker.queues and not (worker.fenced or worker.offline or worker.held)
                for worker in self._lives
            )

    def coming(self) -> tuple[ComingTask, ...]:
        """Tasks with an ETA or countdown that were not seen to start, soonest first."""
        with self._lock:
            return self._coming.tasks()

    def are_empty(self, queues: Iterable[str], now: datetime) -> None:
        """These queues were seen to be empty: what is said to stand there for later does not, and is not to
        hide the next task that comes. Unless it is with a worker that names none.
        """
        with self._lock:
            self._coming.fall_due(now)
            if all(worker.unnamed == 0 or not worker.scheduled for worker in self._lives):
                self._coming.are_not_in(queues, now)

    def expect(self, tasks: Iterable[ComingTask], now: datetime) -> None:
        """These were remembered to stand in their queues, for later."""
        with self._lock:
            self._coming.recall(tasks, now)

    def take_runs(self) -> tuple[Run, ...]:
        """The runs that ended since the last call, for the run time statistics."""
        with self._lock:
            runs, self._runs = tuple(self._runs), []
            return runs

    def take_ends(self) -> Ends:
        """What became of tasks since the last call."""
        with self._lock:
            return self._outcomes.take()

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

    @property
    def losses(self) -> tuple[int, int]:
        """Events that could not be understood, and facts that had no room."""
        with self._lock:
            return self._counts["rejected"], self._counts["dropped"]

    def counters(self) -> Counters:
        """What was taken, and what was lost or could not be kept."""
        with self._lock:
            return Counters(
                workers=len(self._lives),
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
            return self._account(nodename, event, now, by_event=True)
        if nodename in self._mute:
            return ()
        worker = self._lives.hear(nodename, event.get("pid"), now, said_at=_said_at(event, now))
        if worker is None:
            return ()
        worker.eventless_since = None
        worker.offline = kind == "worker-offline"
        if kind == "task-received":
            self._received(worker, event)
        elif kind == "task-started":
            self._started(worker, event, now)
        elif kind in _ENDS:
            self._ended(worker, event)
            worker.worked = now
        return ()

    def _sent(self, event: Mapping[str, Any], now: datetime) -> tuple[Change, ...]:
        task_id, name = text(event, "uuid"), text(event, "name", "")
        queue, held_by = place_of(event)
        self._queue_of[task_id] = (name, queue)
        if len(self._queue_of) > MAX_SENT:
            self._queue_of.popitem(last=False)
            self._counts["evicted"] += 1
        if not event.get("eta"):
            self._outcomes.sent(task_id, now)
        if name in self._watched:
            self._sends.append(Sent(name, queue, now))
        if event.get("eta"):
            eta = text(event, "eta")
            self._counts["dropped"] += not self._coming.add(task_id, name, queue, eta, now, held_by=held_by)
        return (Change(kind=ChangeKind.SENT, queue=queue),)

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
        self._outcomes.began(task_id, now)
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
        known = task or held
        queue = (known.queue if known else "") or self._queue_of.get(task_id, ("", ""))[1]
        if event["type"] == "task-succeeded":
            self._note_run(queue, event.get("runtime"), datetime.fromtimestamp(at, UTC))
        elif event["type"] == "task-failed":
            self._outcomes.failed(queue)
        if not is_back:
            self._queue_of.pop(task_id, None)
            self._outcomes.over(task_id)

    def _is_over(self, task_id: str, worker: Worker, event: Mapping[str, Any]) -> bool:
        """The run that this event tells of is known to have ended: events may come out of order."""
        return float(event["timestamp"]) <= self._finished.get((task_id, worker.nodename), float("-inf"))

    def _note_run(self, queue: str, seconds: object, at: datetime, count: int = 1) -> None:
        if not queue or not isinstance(seconds, int | float) or not 0 <= seconds <= LONGEST_RUN:
            return
        self._outcomes.ran(queue, count)
        if len(self._runs) >= MAX_RUNS:
            self._counts["dropped"] += 1
            return
        self._runs.append(Run(queue=queue, seconds=float(seconds), at=at, count=count))

    # -- accounts

    def _merge(self, payload: Mapping[str, Any], now: datetime) -> tuple[Change, ...]:
        changes = self._account(text(payload, "nodename"), payload, now)
        for other in payload.get("others", ()):
            changes += self._account(text(other, "nodename"), other, now)
        return changes

    def _account(
        self, nodename: str, payload: Mapping[str, Any], now: datetime, *, by_event: bool = False
    ) -> tuple[Change, ...]:
        account = msgspec.convert(payload, Account, strict=False)
        if nodename in self._ignored:
            return ()
        known = self._lives.find(nodename, account.pid, account.started)
        if known is not None and known.is_newer_than(account):
            self._counts["stale"] += 1
            self._counts["gaps"] += known.gap_before(account, by_event=True) if by_event else 0
            return ()
        self._mute.discard(nodename)
        said_at = _said_at(payload, now)
        worker = self._lives.hear(nodename, account.pid, now, said_at=said_at, started=account.started)
        if worker is None:
            return ()
        if by_event:
            worker.eventless_since = None
        self._counts["gaps"] += worker.gap_before(account, by_event=by_event)
        changes = worker.take(account, now, self._finished)
        for task in worker.running.values():
            self._outcomes.began(task.id, task.started)
        self._lives.part(worker, account.gone)
        self._take_coming(worker, account, now)
        for run in worker.ended_runs:
            self._note_run(run.queue, run.seconds, run.at, run.count)
        worker.ended_runs.clear()
        return changes

    def _take_coming(self, worker: Worker, account: Account, now: datetime) -> None:
        """What it says of tasks for later."""
        if account.coming is None:
            if not account.scheduled:
                self._coming.release(worker.nodename)
            return
        self._coming.tell(account.coming, worker.nodename, worker.backs, now)
        worker.backs = max([worker.backs, *(each.back for each in account.coming.went_back)])
        has_room = not (worker.fenced or worker.running or worker.held or worker.gang or account.coming.more)
        if has_room and worker.open_since is not None and now - worker.open_since > TAKEN_WITHIN:
            self._coming.are_not_in(worker.queues, now)
        same = has_room and worker.open_since is not None and worker.open_for == worker.queues
        if not same:
            worker.open_since, worker.open_for = (now if has_room else None), worker.queues


def _said_at(said: Mapping[str, Any], now: datetime) -> float:
    """When it was sent, by the clock of the sender; an answer has just been."""
    at = said.get("timestamp")
    return now.timestamp() if at is None else moment(at).timestamp()
