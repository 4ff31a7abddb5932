"""Which processes speak under which node name, and on which machine each of them is. Not thread-safe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from autoscaler_app.listening.activity.coming import Coming
from autoscaler_app.listening.activity.worker import Worker
from scalelib.hostnames import short_name

MAX_WORKERS = 20_000
MAX_LIVES = 8
"""Processes kept of one node name."""
CLOCKS_DIFFER = 5.0
"""Seconds by which the clocks of machines may differ that are set right."""


class Lives:
    """By node name: its processes that are not proven gone, the youngest last. Where there are several, what
    is said under that name is not known to be all.
    """

    def __init__(self, coming: Coming, counts: Counter[str]) -> None:
        """`coming` is told whose tasks for later are in their queues again; `counts` what was not kept."""
        self._coming, self._counts = coming, counts
        self._of: dict[str, list[Worker]] = {}
        self.homes: Mapping[str, str] = {}
        """By what a machine of the cloud is called, or its address: how its host is called."""

    def __len__(self) -> int:
        return len(self._of)

    def __iter__(self) -> Iterator[Worker]:
        """In order of name, of one name the youngest last."""
        return (worker for name in sorted(self._of) for worker in self._of[name])

    def names(self) -> frozenset[str]:
        """Every node name."""
        return frozenset(self._of)

    def under(self, nodename: str) -> Sequence[Worker]:
        """The processes of this name."""
        return tuple(self._of.get(nodename, ()))

    def home(self, worker: Worker) -> str:
        """The host that it is on. Where its machine is none of the cloud's, its node name tells."""
        said = (worker.machine.host, *worker.machine.addresses)
        homes = {self.homes[name] for each in said if each and (name := short_name(each)) in self.homes}
        # In one spelling: two of one machine are to be one host.
        return (
            homes.pop() if len(homes) == 1 else self.homes.get(short_name(worker.hostname), worker.hostname)
        )

    def find(self, nodename: str, pid: object, started: float) -> Worker | None:
        """The one that has this process id and start; of one that says no id, the youngest."""
        lives = self._of.get(nodename, [])
        if not isinstance(pid, int):
            return lives[-1] if lives else None
        return next((worker for worker in reversed(lives) if worker.is_life(pid, started)), None)

    def hear(
        self, nodename: str, pid: object, now: datetime, *, said_at: float, started: float = 0.0
    ) -> Worker | None:
        """The life that speaks; None for one that is over, and whose word only came late.

        Another process id, or another start, is another life. What the one before ran may have died with it,
        or goes on beside it: that is unknown until it is shown.
        """
        lives = self._of.get(nodename, [])
        worker = self.find(nodename, pid, started)
        if worker is None:
            # A beginning that has not come yet is of a clock that is wrong: then nothing is late by it.
            if lives and said_at <= lives[-1].began <= now.timestamp() + CLOCKS_DIFFER:
                self._counts["stale"] += 1
                return None
            if not lives:
                self._make_room()
            worker = Worker(nodename, now, began=started or said_at)
            self._of[nodename] = sorted([*lives, worker], key=lambda each: each.began)[-MAX_LIVES:]
        if isinstance(pid, int):
            worker.pid = pid
        worker.heard = max(worker.heard, now)
        return worker

    def part(self, told: Worker, gone: Sequence[int]) -> None:
        """Forget the lives of a name that are over, as far as the one that has just told proves it."""
        lives = self._of[told.nodename]
        lives.sort(key=lambda each: each.began)
        *earlier, youngest = lives
        for worker in earlier:
            if worker.is_proven_gone_by(told if worker is not told else youngest, gone):
                self.end(worker)
        # An earlier one goes on, perhaps, when the one that was started beside it has been killed.
        if youngest is not told and youngest.is_nobodys(told, gone):
            self.end(youngest)

    def end(self, worker: Worker) -> None:
        """This process is over."""
        others = [each for each in self._of.get(worker.nodename, ()) if each is not worker]
        if others:
            self._of[worker.nodename] = others
            # A node name is all that is known of who holds them.
            self._coming.release(worker.nodename)
        else:
            self.drop(worker.nodename)

    def drop(self, nodename: str) -> None:
        """Nothing is kept of this name."""
        self._of.pop(nodename, None)
        self._coming.release(nodename)

    def _make_room(self) -> None:
        """Who was not heard for longest is forgotten first; a node that matters is heard again."""
        if len(self._of) >= MAX_WORKERS:
            self.drop(min(self._of, key=lambda name: self._of[name][-1].heard))
            self._counts["dropped"] += 1
