"""The world that every policy sees: queues, machines that boot, work and cost, and what is measured of it.

Workers are no processes: a machine takes what fits as soon as it has room. Time is virtual; the same trace,
site and policy give the same history.
"""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from array import array
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from random import Random

from autoscaler_app.listening.recording.trace import Trace
from scalelib.errors import InvalidInput

INTERVAL = 15.0
"""Seconds from one look of a policy to the next."""
LONGEST_AFTER = 24 * 3600.0
"""Seconds after the end of a trace after which nobody waits any more for what is not done."""
KNOWN = {"ncpus": 0, "memgb": 1, "ngpus": 2}
Amounts = tuple[float, float, float]
"""Cores, GiB, GPUs."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """A kind of machine."""

    name: str
    has: Amounts
    price: float
    """Money per hour."""

    @property
    def cores(self) -> int:
        """Of one machine."""
        return int(self.has[0])


SIZES = (
    Size(name="F4", has=(4, 8, 0), price=0.17),
    Size(name="F8", has=(8, 16, 0), price=0.34),
    Size(name="F16", has=(16, 32, 0), price=0.68),
    Size(name="E8", has=(8, 64, 0), price=0.50),
    Size(name="E16", has=(16, 128, 0), price=1.01),
    Size(name="NC6", has=(6, 56, 1), price=0.90),
)
"""About what such machines cost somewhere; what matters is that all pay the same."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """What is the same for all policies."""

    cores: int
    """Most cores at once, of all machines together."""
    sizes: tuple[Size, ...] = SIZES
    boot: float = 180.0
    """Seconds that half of the machines take at most to come up; they differ."""
    seed: int = 1
    interval: float = INTERVAL

    def boots(self) -> Iterable[float]:
        """How long the first machine takes, the second ..."""
        chance = Random(self.seed)
        while True:
            yield min(3.0, max(0.5, chance.lognormvariate(0, 0.25))) * self.boot


@dataclass(eq=False, slots=True)
class Machine:
    """One machine, from when it is asked for until it is gone."""

    number: int
    size: Size
    asked: float
    ready: float
    free: list[float]
    is_up: bool = False
    gone: float | None = None
    takes: frozenset[str] | None = None
    """Queues that it consumes; None: whatever fits."""
    is_closed: bool = False
    """It takes nothing more."""
    running: dict[int, tuple[str, float, float, float]] = field(default_factory=dict)
    """By number of the run: queue, start, when the task came, run time."""
    runs: int = 0
    ran: set[str] = field(default_factory=set)
    """Queues of which it has run tasks to their end."""
    idle_since: float = 0.0
    listed: set[str] = field(default_factory=set)
    facts: dict[str, object] = field(default_factory=dict)
    """What a policy keeps with it."""


class World:
    """A history of one trace under one policy."""

    def __init__(self, trace: Trace, site: Site, *, concentrates: bool = False) -> None:
        """`concentrates`: of machines with room the one takes the next task that was at work last. Else the
        one that has waited longest, as with Redis and RabbitMQ.
        """
        self.site, self.trace = site, trace.filled()
        self.needs = {name: _need(kind) for name, kind in self.trace.kinds.items()}
        self._concentrates = concentrates
        self._boots = iter(site.boots())
        self.now = 0.0
        self.machines: dict[int, Machine] = {}
        """Those that are not gone."""
        self.waiting: dict[str, deque[list[float]]] = {name: deque() for name in self.needs}
        """By queue: came, run time, how many, and whether they ran before; the oldest first."""
        self.depth: dict[str, int] = dict.fromkeys(self.needs, 0)
        self._room: dict[str, deque[Machine]] = {name: deque() for name in self.needs}
        """By queue: machines that may have room for it."""
        self._events: list[tuple[float, int, str, int, int]] = []
        self._order = 0
        self._numbers = 0
        self.ended: list[tuple[str, float, float]] = []
        """Runs that ended since a policy last looked: queue, seconds, when."""
        self.came_up = False
        """A machine has come up since a policy last looked."""
        self.waits = array("d")
        self.cost = 0.0
        self.launched = self.wasted = self.hits = self.done = self.peak = self.undone = 0
        self.work = 0.0
        """Core seconds that were needed."""
        self.cores = 0
        """Of machines that are there."""
        self.cores_at: list[tuple[float, int, int]] = []
        """What a picture shows: when, cores, tasks that wait."""

    # -- what a policy does

    def launch(self, size: Size, count: int) -> int:
        """Ask for so many machines; how many there is room for under the limit."""
        made = max(0, min(count, (self.site.cores - self.cores) // size.cores))
        for _ in range(made):
            self._numbers += 1
            ready = self.now + next(self._boots)
            machine = Machine(self._numbers, size, self.now, ready, list(size.has))
            self.machines[machine.number] = machine
            self._at(ready, "up", machine.number)
            self.cores += size.cores
            self.launched += 1
        self.peak = max(self.peak, len(self.machines))
        return made

    def close(self, machine: Machine) -> None:
        """It takes nothing more."""
        machine.is_closed = True

    def open(self, machine: Machine) -> None:
        """It takes tasks again."""
        machine.is_closed = False
        self._fill(machine)

    def narrow(self, machine: Machine, queues: Iterable[str]) -> None:
        """It consumes these queues from now on."""
        machine.takes = frozenset(queues)
        self._fill(machine)

    def end(self, machine: Machine, grace: float = 0.0) -> None:
        """It is gone at once, or when what runs there has ended, but after so many seconds in any case: what
        runs there then goes back to the head of its queue.
        """
        machine.is_closed = True
        if machine.running and grace > 0:
            machine.facts["ending"] = True
            self._at(self.now + grace, "kill", machine.number)
            return
        self._gone(machine)

    # -- time

    def run(self, policy: Policy) -> None:
        """From the first task until everything is done and gone, or a day after the last."""
        arrivals = iter(self.trace.tasks)
        coming = sorted(arrivals, key=lambda each: max(each.at, each.due or 0.0))
        last = self.trace.seconds + LONGEST_AFTER
        place, look = 0, 0.0
        while True:
            arrival = max(coming[place].at, coming[place].due or 0.0) if place < len(coming) else None
            event = self._events[0][0] if self._events else None
            soonest = min(each for each in (arrival, event, look) if each is not None)
            if arrival is None and not self.machines and not any(self.depth.values()):
                return
            if soonest > last:
                self._give_up()
                return
            self.now = soonest
            if event is not None and event <= soonest:
                self._happen()
            elif arrival is not None and arrival <= soonest:
                each = coming[place]
                self._came(each.queue, each.run or 0.0, each.count)
                place += 1
            else:
                again = policy.look(self)
                self.ended.clear()
                self.came_up = False
                if len(self.cores_at) == 0 or self.now - self.cores_at[-1][0] >= 120:
                    self.cores_at.append((self.now, self.cores, sum(self.depth.values())))
                look = min((self.now // self.site.interval + 1) * self.site.interval, self.now + again)
            if self.came_up and policy.looks_when_up:
                look = min(look, self.now + policy.looks_when_up)

    def _give_up(self) -> None:
        """Tasks that were never done are counted; machines that are there are paid until now."""
        running = sum(len(machine.running) for machine in self.machines.values())
        self.undone = running + sum(self.depth.values())
        for machine in self.machines.values():
            self.cost += machine.size.price * (self.now - machine.asked) / 3600
        self.machines.clear()

    def _at(self, when: float, what: str, number: int, run: int = 0) -> None:
        self._order += 1
        heapq.heappush(self._events, (when, self._order, what, number, run))

    def _happen(self) -> None:
        _, _, what, number, run = heapq.heappop(self._events)
        machine = self.machines.get(number)
        if machine is None:
            return
        if what == "up":
            machine.is_up, machine.idle_since, self.came_up = True, self.now, True
            self._fill(machine)
        elif what == "end":
            self._ended(machine, run)
        elif what == "kill":
            self._gone(machine)

    # -- tasks

    def _came(self, queue: str, seconds: float, count: int) -> None:
        self.work += self.needs[queue][0] * seconds * count
        self.waiting[queue].append([self.now, seconds, count, False])
        self.depth[queue] += count
        room = self._room[queue]
        while self.depth[queue] and room:
            machine = room.pop() if self._concentrates else room.popleft()
            machine.listed.discard(queue)
            if self._would_take(machine, queue):
                self._start(machine, queue)
                self._list(machine, (queue,))

    def _would_take(self, machine: Machine, queue: str) -> bool:
        free, need = machine.free, self.needs[queue]
        return (
            machine.is_up
            and not machine.is_closed
            and machine.gone is None
            and (machine.takes is None or queue in machine.takes)
            and need[0] <= free[0]
            and need[1] <= free[1]
            and need[2] <= free[2]
        )

    def _start(self, machine: Machine, queue: str) -> None:
        lots, need = self.waiting[queue], self.needs[queue]
        lot = lots[0]
        came, seconds = lot[0], lot[1]
        lot[2] -= 1
        if not lot[2]:
            lots.popleft()
        self.depth[queue] -= 1
        self._order += 1
        run = self._order
        for place in range(3):
            machine.free[place] -= need[place]
        machine.running[run] = (queue, self.now, came, seconds)
        if not lot[3]:
            self.waits.append(self.now - came)
        machine.runs += 1
        heapq.heappush(self._events, (self.now + seconds, run, "end", machine.number, run))

    def _ended(self, machine: Machine, run: int) -> None:
        found = machine.running.pop(run, None)
        if found is None:
            return
        queue, _, _, seconds = found
        self.done += 1
        machine.ran.add(queue)
        self.ended.append((queue, seconds, self.now))
        need = self.needs[queue]
        for place in range(3):
            machine.free[place] += need[place]
        machine.idle_since = self.now
        if machine.is_closed:
            if machine.facts.get("ending") and not machine.running:
                self._gone(machine)
            return
        self._fill(machine)

    def _fill(self, machine: Machine) -> None:
        """It takes what fits, the oldest first, until nothing more does."""
        if not machine.is_up or machine.is_closed:
            return
        queues = self.needs if machine.takes is None else machine.takes
        while True:
            best = None
            for queue in queues:
                if self.depth.get(queue) and self._would_take(machine, queue):
                    came = self.waiting[queue][0][0]
                    if best is None or came < best[0]:
                        best = (came, queue)
            if best is None:
                break
            self._start(machine, best[1])
        self._list(machine, queues)

    def _list(self, machine: Machine, queues: Iterable[str]) -> None:
        for queue in queues:
            if queue not in machine.listed and queue in self._room and self._would_take(machine, queue):
                machine.listed.add(queue)
                self._room[queue].append(machine)

    def _gone(self, machine: Machine) -> None:
        machine.gone, machine.is_closed = self.now, True
        for queue, _, came, seconds in machine.running.values():
            self.hits += 1
            # It has waited once already, which is not counted again.
            self.waiting[queue].appendleft([came, seconds, 1, True])
            self.depth[queue] += 1
        queues = {queue for queue, *_ in machine.running.values()}
        machine.running.clear()
        del self.machines[machine.number]
        self.cores -= machine.size.cores
        self.cost += machine.size.price * (self.now - machine.asked) / 3600
        self.wasted += machine.runs == 0
        for queue in queues:
            self._offer(queue)

    def _offer(self, queue: str) -> None:
        room = self._room[queue]
        while self.depth[queue] and room:
            machine = room.popleft()
            machine.listed.discard(queue)
            if self._would_take(machine, queue):
                self._start(machine, queue)
                self._list(machine, (queue,))


class Policy(ABC):
    """What decides. One object, one history."""

    looks_when_up = 0.0
    """Seconds after a machine came up at which it looks; 0: it does not for that."""

    @abstractmethod
    def look(self, world: World) -> float:
        """Launch and end; in how many seconds to look again at the latest."""


def fits(need: Amounts, has: Iterable[float]) -> bool:
    """Whether there is room for one."""
    return all(wants <= there for wants, there in zip(need, has, strict=True))


def slots(need: Amounts, has: Amounts) -> int:
    """How many of one kind an empty machine holds."""
    return min(int(there // wants) for wants, there in zip(need, has, strict=True) if wants)


def _need(kind: object) -> Amounts:
    constraints: Mapping[str, object] = kind.constraints or {"ncpus": 1}  # type: ignore[attr-defined]
    unknown = set(constraints) - set(KNOWN)
    if unknown or kind.node_count > 1 or kind.exclusive:  # type: ignore[attr-defined]
        raise InvalidInput(
            f"queue {kind.queue!r}: only ncpus, memgb and ngpus are played back here, and no gangs"  # type: ignore[attr-defined]
        )
    found = [0.0, 0.0, 0.0]
    for name, amount in constraints.items():
        found[KNOWN[name]] = float(amount)  # type: ignore[arg-type]
    return found[0], found[1], found[2]
