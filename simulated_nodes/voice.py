"""What simulated workers say of themselves, and when: each for itself, no oftener than a real one would."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from simulated_nodes.worker import SimWorker

if TYPE_CHECKING:
    from simulated_nodes.wire import Event

TELL_SECONDS = 1.0
"""Least time between two accounts of a worker that was told no pace."""
BEAT_SECONDS = 30.0
"""Time without a word after which a worker gives an account though nothing has changed."""
HEARTBEAT_SECONDS = 60.0


class Voice:
    """Speaks for all simulated workers. Used by one thread. Times are seconds since the epoch."""

    def __init__(self, send: Callable[[Iterable[Event]], None], *, task_events: bool) -> None:
        self._send = send
        self._task_events = task_events
        self._events: list[Event] = []
        self._changed: set[SimWorker] = set()
        self._alive: set[SimWorker] = set()
        self._count = itertools.count()
        self._beats: list[tuple[float, int, SimWorker, bool]] = []
        """When to look at a worker again, a number to break ties, the worker, whether its heart is meant."""

    def begin(self, worker: SimWorker, now: float) -> None:
        """A worker is up."""
        self._alive.add(worker)
        self._events.append((worker, "worker-online", _identity(worker)))
        self.change(worker)
        self._look_again(now + BEAT_SECONDS, worker, is_heart=False)
        self._look_again(now + HEARTBEAT_SECONDS, worker, is_heart=True)

    def change(self, worker: SimWorker) -> None:
        """What its account says has changed."""
        self._changed.add(worker)

    def task(self, worker: SimWorker, kind: str, **fields: Any) -> None:
        """Something happened to a task of this worker."""
        if self._task_events:
            self._events.append((worker, kind, fields))

    def heartbeat(self, worker: SimWorker) -> None:
        """It was asked for a sign of life."""
        self._events.append((worker, "worker-heartbeat", _identity(worker)))

    def goodbye(self, worker: SimWorker, now: float) -> None:
        """It ends cleanly: the last account it owes, and that it goes."""
        self.speak(now)
        if worker in self._changed:
            self._tell(worker, now)
        self._events.append((worker, "worker-offline", _identity(worker)))
        self._flush()

    def forget(self, worker: SimWorker) -> None:
        """It is gone, and says nothing more."""
        self._alive.discard(worker)
        self._changed.discard(worker)

    def speak(self, now: float) -> None:
        """Say what is due."""
        while self._beats and self._beats[0][0] <= now:
            _, _, worker, is_heart = heapq.heappop(self._beats)
            if worker in self._alive:
                self._beat(worker, now, is_heart)
        for worker in [w for w in self._changed if w.told_at + max(TELL_SECONDS, w.pace) <= now]:
            self._tell(worker, now)
        self._flush()

    def _beat(self, worker: SimWorker, now: float, is_heart: bool) -> None:
        if is_heart:
            self.heartbeat(worker)
            self._look_again(now + HEARTBEAT_SECONDS, worker, is_heart)
            return
        every = max(BEAT_SECONDS, worker.pace)
        if worker.told_at + every <= now:
            self._tell(worker, now)
        self._look_again(worker.told_at + every, worker, is_heart)

    def _look_again(self, when: float, worker: SimWorker, is_heart: bool) -> None:
        heapq.heappush(self._beats, (when, next(self._count), worker, is_heart))

    def _tell(self, worker: SimWorker, now: float) -> None:
        self._changed.discard(worker)
        worker.told_at = now
        worker.events += 1
        fields = worker.account()
        # An event brings these two itself; its `hostname` is the whole nodename.
        del fields["hostname"], fields["pid"]
        self._events.append((worker, "worker-resources", fields))

    def _flush(self) -> None:
        events, self._events = self._events, []
        self._send(events)


def _identity(worker: SimWorker) -> Mapping[str, Any]:
    return {
        "freq": HEARTBEAT_SECONDS,
        "sw_ident": "py-celery",
        "sw_ver": "simulated",
        "sw_sys": "Linux",
        "active": len(worker.running),
        "processed": worker.processed,
        "loadavg": [0.0, 0.0, 0.0],
    }
