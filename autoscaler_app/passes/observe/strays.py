"""Messages that were taken from the broker and that nobody has: found, proven, and then given back.

Redis notes a message as unacknowledged when it is delivered, and forgets to whom. One that a worker popped as
its connection broke, or held for later and lost with it, stays so until its visibility timeout, which here is
days. It is given back only when it is certain that nobody has it:

- it has been there for a while, and stays so over several looks;
- every worker that was ever heard, and has not been proven gone since, has named all that it has (`claims`),
  twice, and did not name this one; or it has no connection, which the broker's list of them shows by name,
  and was not heard for a while;
- nobody takes messages whom we do not know: as many connections consume as workers have answered.

A plain Celery worker does not name everything it has (rate limits hide tasks), so where one consumes, nothing
is given back. The report says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from autoscaler_app.brokers import Broker, Consumers
from autoscaler_app.listening.activity import HostView, at_work
from celery_resources.insides.waiting import connection_name

MOST_READ = 5_000
"""Messages read in one look; the others in the next ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Claims:
    """What the workers say that they have."""

    ids: frozenset[str]
    """Tasks that somebody has."""
    missing: str = ""
    """Why this may not be everything; empty if it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Strays:
    """The outcome of a look."""

    tags: tuple[str, ...] = ()
    """Messages that nobody has, proven: to be given back now."""
    queues: Mapping[str, Collection[str]] = field(default_factory=dict)
    """By tag: the queue that whoever had it said it came from."""
    warnings: tuple[str, ...] = ()
    """What may be lost and cannot be proven to be."""


class StrayWatch:
    """Remembers from look to look what nobody claims. A restart only makes it begin anew."""

    def __init__(self, after: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`after`: seconds for which a message is left alone; 0 never gives any back."""
        self._after = after
        self._clock = clock
        self._looked: float | None = None
        self._ids: dict[str, str] = {}
        """Tag -> task; empty for what is no task."""
        self._queues: dict[str, set[str]] = {}
        """Task -> the queues that hosts said they took it from."""
        self._seen: dict[str, float] = {}
        """Tag -> when it was seen first."""
        self._unclaimed: dict[str, float] = {}
        """Tag -> when everybody had been asked for the first time, and nobody had it."""
        self._last = Strays()

    def look(
        self,
        broker: Broker,
        hosts: Collection[HostView],
        own: Collection[str],
        ask_everybody: Callable[[], Claims],
        later: Collection[str] = (),
    ) -> Strays:
        """Look, if it is time to; `own` names the tasks that this process itself has, `later` those for later
        that hosts have named.

        Everybody is asked only if more has been unacknowledged for a while than the hosts account for. Raises
        BrokerError.
        """
        now, half = self._clock(), self._after / 2
        if not self._after:
            return self._last
        if self._looked is not None and now - self._looked < half:
            return Strays(warnings=self._last.warnings)
        self._looked = now
        self._learn(broker, now)
        for host in hosts:
            for task in at_work(host):
                if task.queue:
                    self._queues.setdefault(task.id, set()).add(task.queue)
        for task_id in self._queues.keys() - set(self._ids.values()):
            del self._queues[task_id]
        suspects = self._suspects(hosts, own, frozenset(later), now - half)
        if not suspects:
            self._unclaimed.clear()
            self._last = Strays()
            return self._last
        claims = ask_everybody()
        orphans = [tag for tag in suspects if self._ids[tag] not in claims.ids]
        if claims.missing:
            warning = f"{len(orphans)} messages were taken and may be lost; not given back: {claims.missing}"
            self._unclaimed = {tag: self._unclaimed[tag] for tag in orphans if tag in self._unclaimed}
            self._last = Strays(warnings=(warning,) if orphans else ())
            return self._last
        self._unclaimed = {tag: self._unclaimed.get(tag, now) for tag in orphans}
        lost = tuple(tag for tag, since in self._unclaimed.items() if now - since >= half)
        told = {tag: self._queues.get(self._ids[tag], set()) for tag in lost}
        # Of two nobody knows which one this is.
        queues = {tag: names for tag, names in told.items() if len(names) == 1}
        self._last = Strays(tags=lost, queues=queues)
        return self._last

    def _learn(self, broker: Broker, now: float) -> None:
        tags = broker.unacked_tags()
        for memory in (self._ids, self._seen, self._unclaimed):
            for tag in memory.keys() - tags:
                del memory[tag]
        self._ids |= broker.task_ids(sorted(tags - self._ids.keys())[:MOST_READ])
        for tag in self._ids:
            self._seen.setdefault(tag, now)

    def _suspects(
        self, hosts: Collection[HostView], own: Collection[str], later: frozenset[str], before: float
    ) -> list[str]:
        """Messages that have been out for a while and that no host has told of, if there are too many."""
        told = {task.id for host in hosts for task in host.running} | set(own)
        told |= {task.id for host in hosts for task in host.held} | later
        untold = [
            tag for tag, seen in self._seen.items() if seen <= before and self._ids[tag] not in {"", *told}
        ]
        # What waits for its rate, or was too much to name.
        unnamed = sum(host.scheduled for host in hosts) - len(later)
        return untold if len(untold) > unnamed else []


def claims_of(
    answers: Mapping[str, Any],
    *,
    expected: Iterable[str],
    me: str,
    own: Collection[str],
    consumers: Consumers | None,
    unheard: Collection[str] = (),
) -> Claims:
    """What the answers of everybody to `claims` prove.

    `answers` has None for a worker that could not say. `me` is the worker that asks, which has `own`. The
    connections of the `unheard` bear their names, and nothing was heard of them for a while: those that have
    none are gone.
    """
    said = {name: ids for name, ids in answers.items() if name != me}
    ids = frozenset(own).union(*(found for found in said.values() if found is not None))
    cannot = sorted(name for name, found in said.items() if found is None)
    names = None if consumers is None else consumers.names
    gone = {each for each in unheard if names is not None and connection_name(each) not in names}
    silent = sorted(set(expected) - said.keys() - {me} - gone)
    reasons = []
    if cannot:
        reasons.append(f"{_names(cannot)} cannot say what it holds (a worker without our step)")
    if silent:
        reasons.append(f"{_names(silent)} did not answer")
    if consumers is None:
        reasons.append("the broker does not tell who consumes")
    elif consumers.count > len(said) + 1:
        reasons.append(f"{consumers.count} connections consume, and {len(said) + 1} workers are known")
    return Claims(ids=ids, missing="; ".join(reasons))


def _names(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
