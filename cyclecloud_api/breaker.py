"""The circuit breaker: when too much goes wrong at once, stop changing things and say so. Pure.

    closed   -> open     too large a share of nodes is unhealthy, or too many creates failed lately
    open     -> closed   it is well again, and some node is up to prove it
    open     -> trying   it is well and no node is up, or it has rested: one node at a time may be launched,
                         failed nodes may be cleaned up
    trying   -> closed   it is well again, and some node is up to prove it
    trying   -> open     it is not, for the length of a trial

While it is open nothing is launched and nothing is deleted: what looks like a hundred dead nodes may as well
be one dead network, or a server that does not tell the truth.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum


class BreakerState(Enum):
    """Whether things may be changed."""

    CLOSED = "closed"
    OPEN = "open"
    TRYING = "trying"


@dataclass(frozen=True, kw_only=True, slots=True)
class BreakerLimits:
    """When it opens, and for how long."""

    unhealthy_share: float = 0.45
    """Of the nodes that are meant to be there."""
    least_unhealthy: int = 3
    """So many have to be unhealthy in any case: one of two is no catastrophe."""
    failed_creates: int = 10
    """Within `window`, over all offerings."""
    window: timedelta = timedelta(minutes=10)
    rest: timedelta = timedelta(minutes=10)
    """How long it stays open before it is tried again."""
    trial: timedelta = timedelta(minutes=5)
    """How long a trial lasts before it counts as failed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """What the breaker looks at."""

    nodes: int
    """Nodes that are meant to be there, and those that fell away though nobody ended them."""
    unhealthy: int
    """Of these: failed, in an unknown state, past a deadline, not listed, or leaving and not by our doing."""
    up: int = 0
    """Nodes that are up and meant to be: the proof that nodes can come up at all."""
    failed_creates: Collection[datetime] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Breaker:
    """Its state, since when, and why."""

    state: BreakerState = BreakerState.CLOSED
    since: datetime | None = None
    reason: str = ""

    @property
    def may_grow(self) -> bool:
        """False: launch nothing."""
        return self.state is not BreakerState.OPEN

    @property
    def may_delete(self) -> bool:
        """False: delete nothing."""
        return self.state is not BreakerState.OPEN

    @property
    def gently(self) -> bool:
        """True: launch one node at a time."""
        return self.state is BreakerState.TRYING


def judge(before: Breaker, health: Health, now: datetime, limits: BreakerLimits = BreakerLimits()) -> Breaker:
    """The breaker after a look."""
    trouble = _trouble(health, now, limits)
    since = before.since or now
    if before.state is BreakerState.CLOSED:
        return _opened(trouble, now) if trouble else before
    if not trouble and health.up:
        return Breaker()
    trying = Breaker(state=BreakerState.TRYING, since=now, reason=trouble or before.reason)
    if before.state is BreakerState.OPEN:
        rested = not trouble or now - since >= limits.rest
        return trying if rested else replace(before, since=since, reason=trouble)
    if trouble and now - since >= limits.trial:
        return _opened(trouble, now)
    return replace(trying, since=since)


def _opened(reason: str, now: datetime) -> Breaker:
    return Breaker(state=BreakerState.OPEN, since=now, reason=reason)


def _trouble(health: Health, now: datetime, limits: BreakerLimits) -> str:
    """What is wrong, in a sentence; empty if nothing is."""
    recent = sum(now - at < limits.window for at in health.failed_creates)
    if recent >= limits.failed_creates:
        minutes = limits.window.total_seconds() / 60
        return f"{recent} creates failed within {minutes:g} minutes (limit {limits.failed_creates})"
    share = health.unhealthy / max(1, health.nodes)
    if health.unhealthy >= limits.least_unhealthy and share > limits.unhealthy_share:
        return (
            f"{health.unhealthy} of {health.nodes} nodes are unhealthy (limit {limits.unhealthy_share:.0%})"
        )
    return ""
