"""Which processes speak under which node name, and on which machine each of them is. Not thread-safe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from operator import attrgetter

from autoscaler_app.listening.activity.coming import Coming
from autoscaler_app.listening.activity.hosts import HostView
from autoscaler_app.listening.activity.together import host_view
from autoscaler_app.listening.activity.worker import Worker
from scalelib.hostnames import short_name

MAX_WORKERS = 20_000
MAX_LIVES = 8
"""Processes kept of one node name."""
CLOCKS_DIFFER = 5.0
"""Seconds by which the clocks of machines may differ that are set right."""

_by_name = attrgetter("nodename")


class Lives:
    """By node name: its processes that are not proven gone, the youngest last. Where there are several, what
    is said under that name is not known to be all.
    """

    def __init__(self, coming: Coming, counts: Counter[str]) -> None:
        """`coming` is told whose tasks for later are in their queues again; `counts` what was not kept."""
        self._coming, self._counts = coming, counts
        self._of: dict[str, list[Worker]] = {}
        self._homes: Mapping[str, str] = {}
        """By what a machine of the cloud is called, or its address: how its host is called."""
        self._together: dict[str, tuple[list[tuple[Worker, int]], HostView]] = {}
        """By host: what its workers had said when they were put together, and what that came to."""

    def __len__(self) -> int:
        return len(self._of)

    def __iter__(self) -> Iterator[Worker]:
        """Those of one name together, the youngest last."""
        return chain.from_iterable(self._of.values())

    def names(self) -> frozenset[str]:
        """Every node name."""
        return frozenset(self._of)

    def under(self, nodename: str) -> Sequence[Worker]:
        """The processes of this name."""
        return tuple(self._of.get(nodename, ()))

    def know_machines(self, homes: Mapping[str, str]) -> None:
        """The machines that the cloud has now."""
        if homes != self._homes:
            self._homes = homes
            for worker in self:
                worker.home = ""

    def home(self, worker: Worker) -> str:
        """The host that it is on. Where its machine is none of the cloud's, its node name tells."""
        if not worker.home:
            said = (worker.machine.host, *worker.machine.addresses)
            homes = {self._homes[name] for each in said if each and (name := short_name(each)) in self._homes}
            # In one spelling: two of one machine are to be one host.
            only = homes.pop() if len(homes) == 1 else ""
            worker.home = only or self._homes.get(short_name(worker.hostname), worker.hostname)
        return worker.home

    def hosts(self) -> tuple[HostView, ...]:
        """The workers of each host together, in order of its name. A host is put together once until one of
        its workers says something: a pass asks several times, and few of ten thousand speak in between.
        """
        by_host: dict[str, list[Worker]] = {}
        for worker in self:
            by_host.setdefault(self.home(worker), []).append(worker)
        before, self._together = self._together, {}
        for hostname, workers in sorted(by_host.items()):
            workers.sort(key=_by_name)
            said = [(worker, worker.words) for worker in workers]
            known = before.get(hostname)
            if known is None or known[0] != said:
                known = said, host_view(hostname, workers)
            self._together[hostname] = known
        return tuple(view for _, view in self._together.values())

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
        worker.words += 1
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
