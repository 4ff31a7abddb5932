"""The belief about one worker process, while it changes. Only `Activity` touches it, under its lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from autoscaler_app.listening import door
from autoscaler_app.listening.activity.accounts import (
    Account,
    Change,
    ChangeKind,
    GangSaid,
    MachineSaid,
    Run,
    TaskSaid,
    amounts,
    moment,
)
from autoscaler_app.listening.activity.hosts import HeldTask, RunningTask, WorkerView

MAX_TASKS = 10_000
"""Of one worker; what it says beyond that is not kept: it looks busy all the same."""


ANSWER_TAKES = timedelta(seconds=5)
"""Longest time between the writing of an answer and its arrival."""


class Worker:
    """One life of one worker."""

    def __init__(self, nodename: str, heard: datetime, began: float = 0.0) -> None:
        self.nodename = nodename
        self.hostname = nodename.partition("@")[2] or nodename
        self.pid: int | None = None
        self.heard = heard
        self.eventless_since: datetime | None = heard
        self.told: datetime | None = None
        self.worked: datetime | None = None
        """When it last was known to run a task, or to have just ended one."""
        self.machine = MachineSaid()
        self.home = ""
        """The host that it is on, as long as that is not to be found out anew."""
        self.words = 0
        """How often it was heard, or what is believed of it has changed for another reason."""
        self.began = began
        """By its own clock, in seconds since the epoch: its start, or, if that is unknown, its first word."""
        self.total: dict[str, Any] = {}
        self.free: dict[str, Any] = {}
        self.running: dict[str, RunningTask] = {}
        self.held: dict[str, HeldTask] = {}
        self.scheduled = 0
        self.unnamed: int | None = None
        """Tasks for later that it has not named; None: it names none."""
        self.open_since: datetime | None = None
        """Since when it has had room for anything in `open_for`, as it says."""
        self.open_for: frozenset[str] = frozenset()
        self.backs = 0
        """Of what went back before its time, the last that is known."""
        self.queues: frozenset[str] = frozenset()
        self.fenced = False
        self.fence_reason = ""
        self.gang: GangSaid | None = None
        self.offline = False
        self.has_told = False
        """It has said at least once what it has, in this life."""
        self.tells_tasks = False
        """It sends the events of its tasks: then run times are taken from those."""
        self.pace = 0.0
        self.garbage = 0
        self.is_named = False
        self.ended_runs: list[Run] = []
        """What the last account added to the runs that ended, for whoever takes it."""
        self._ended: Mapping[str, tuple[int, float]] = {}
        self._ended_tasks: Mapping[str, Mapping[str, tuple[int, float]]] = {}
        self._untold: dict[str, datetime] = {}
        """Tasks in `running` that only an event named so far, and when that came."""
        self._seq = 0
        self._events = 0
        self._started = 0.0

    def is_life(self, pid: int, started: float) -> bool:
        """Whether this is the process with that id which started then (0: it is not said when)."""
        same_start = not started or not self._started or started == self._started
        return self.pid in (None, pid) and same_start

    def is_proven_gone_by(self, younger: Worker, gone: Sequence[int]) -> bool:
        """What a younger life of the same name says proves that this one has ended: the process id is
        nobody's, or is its own. Only where both mean the same processes by a number.
        """
        ours, theirs = self.machine.space, younger.machine.space
        if self.pid == younger.pid:
            return not (ours and theirs) or ours == theirs
        return self.is_nobodys(younger, gone)

    def is_nobodys(self, witness: Worker, gone: Sequence[int]) -> bool:
        """Another life of the name has looked: no process has this one's id (`gone`: ids that none has)."""
        ours, theirs = self.machine.space, witness.machine.space
        return self.pid in gone and bool(ours) and ours == theirs

    def view(self, youngest: Worker) -> WorkerView:
        """A frozen copy of the scalar facts; `youngest` is the youngest life of this name."""
        return WorkerView(
            started=self._started,
            began=self.began,
            is_earlier=youngest is not self,
            at_once=youngest is not self
            and self.heard.timestamp() - ANSWER_TAKES.total_seconds() > youngest.began,
            nodename=self.nodename,
            pid=self.pid,
            heard=self.heard,
            told=self.told,
            worked=self.worked,
            fenced=self.fenced,
            fence_reason=self.fence_reason,
            offline=self.offline,
            scheduled=self.scheduled,
            eventless_since=self.eventless_since,
            pace=self.pace,
            garbage=self.garbage,
            is_named=self.is_named,
        )

    @property
    def ended_tasks(self) -> Mapping[str, Mapping[str, tuple[int, float]]]:
        """By queue and name of the task: the same."""
        return self._ended_tasks

    @property
    def ended(self) -> Mapping[str, tuple[int, float]]:
        """By queue: runs that ended since it started and their seconds, as it counts them itself."""
        return self._ended

    def hold(self, task: HeldTask) -> bool:
        """Received, not started; False if there is no room to remember it."""
        if len(self.held) >= MAX_TASKS:
            return False
        self.held[task.id] = task
        return True

    def run(self, task: RunningTask, now: datetime) -> bool:
        """Started, as an event said that came now; False if there is no room to remember it."""
        if len(self.running) >= MAX_TASKS:
            return False
        self.running[task.id] = task
        self._untold[task.id] = self.worked = now
        return True

    # -- accounts

    def is_newer_than(self, account: Account) -> bool:
        """True if the account is of an earlier moment of this life."""
        return bool(account.started) and account.started == self._started and account.seq < self._seq

    def gap_before(self, account: Account, *, by_event: bool) -> int:
        """How many of its events between the last one and this account never arrived.

        An answer tells nothing of that: those before it may be on their way by the other road.
        """
        is_known = self.told is not None and account.started == self._started
        if account.events is None:
            return max(0, account.seq - self._seq - 1) if is_known else 0
        before = self._events if is_known else account.events
        if by_event or not is_known:
            self._events = max(before, account.events)
        return max(0, account.events - before - 1) if by_event else 0

    def take(
        self, account: Account, now: datetime, finished: Mapping[tuple[str, str], float]
    ) -> tuple[Change, ...]:
        """Replace the belief with what the worker says, and tell what is new about that."""
        is_new = not self.has_told
        running = {
            said.id: self._running(said, now)
            for said in account.running[:MAX_TASKS]
            if not self._is_over(said, finished)
        }
        if self.has_told and account.started == self._started and not self.tells_tasks:
            self._note_ended(account, now)
        if account.running or (self.has_told and account.ended != self._ended):
            self.worked = now
        self._ended, self._ended_tasks = account.ended, account.ended_tasks
        self._untold = {
            task_id: came
            for task_id, came in self._untold.items()
            if task_id not in running
            and task_id in self.running
            and self._may_be_newer(task_id, account, now)
        }
        self.running = running | {task_id: self.running[task_id] for task_id in self._untold}
        self.held = {
            said.id: HeldTask(id=said.id, queue=said.queue, name=said.name)
            for said in account.held[:MAX_TASKS]
        }
        self.total, self.free = amounts(account.total), amounts(account.free)
        self.scheduled = account.scheduled
        self.queues = frozenset(filter(door.is_queue_name, account.queues[:MAX_TASKS]))
        self.gang, self.pace, self.garbage = account.gang, account.pace, account.garbage
        self.is_named = account.named
        self.unnamed = None if account.coming is None else account.coming.more
        self.fenced, self.fence_reason = account.fenced, account.fence_reason or ""
        self.told = now if self.told is None else max(self.told, now)
        self.offline, self.has_told = False, True
        self._seq, self._started = account.seq, account.started
        self.began = account.started or self.began
        if account.machine != self.machine:
            self.machine, self.home = account.machine, ""
        return (Change(kind=ChangeKind.NEW, hostname=self.hostname),) if is_new else ()

    def _running(self, said: TaskSaid, now: datetime) -> RunningTask:
        before = self.running.get(said.id)
        if before is not None and before.queue == said.queue and before.name == said.name:
            return before
        return RunningTask(
            id=said.id,
            name=said.name,
            queue=said.queue,
            started=now if said.started is None else moment(said.started),
            nodename=self.nodename,
        )

    def _may_be_newer(self, task_id: str, account: Account, now: datetime) -> bool:
        """It may have started after the account was written: answers and events come by different ways."""
        if account.timestamp is not None:
            return self.running[task_id].started.timestamp() > account.timestamp
        return now - self._untold[task_id] < ANSWER_TAKES

    def _is_over(self, said: TaskSaid, finished: Mapping[tuple[str, str], float]) -> bool:
        """The end of this very run was heard already: the account was written before it, and came after."""
        end = finished.get((said.id, self.nodename))
        return end is not None and said.started is not None and said.started <= end

    def _note_ended(self, account: Account, now: datetime) -> None:
        """Without task events run times are learnt from the worker's own count."""
        for queue, (runs, seconds) in account.ended.items():
            runs_before, seconds_before = self._ended.get(queue, (0, 0.0))
            # A worker tells of its latest queues only: one that comes back begins at nothing.
            if runs < runs_before:
                runs_before, seconds_before = 0, 0.0
            if runs > runs_before:
                each = (seconds - seconds_before) / (runs - runs_before)
                self.ended_runs.append(Run(queue=queue, seconds=each, at=now, count=runs - runs_before))
