"""What is to happen in one history: work, and what goes wrong. Drawn from a seed; parts can be left out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Literal

from cyclecloud_emulator.trouble.faults import FaultKind
from cyclecloud_emulator.trouble.lies import LieKind
from cyclecloud_emulator.trouble.mishaps import MishapKind


class Kind(Enum):
    """What can go wrong, as a history tells it."""

    LOSE = "events are lost"
    DELAY = "events come late"
    DEAF = "the listener has lost the broker, and knows"
    STALL = "a worker stalls"
    CUT_OFF = "workers are cut off from the broker"
    KILL = "a worker process is killed"
    EVICT = "a machine is taken back"
    VANISH = "a machine is gone, and nobody said so"
    SET_CLOCK = "the clock of the control side is set"
    CRASH = "the control side is killed at a point of a pass"
    RESTART = "the control side is started again between two passes"
    BROKER = "the broker is down"
    API = "calls of the cloud go wrong"
    LIE = "the cloud lies"
    STALE = "the cloud shows an old list"
    MISHAP = "machines do not come up"


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Tasks that are sent together."""

    at: float
    count: int
    cores: int
    seconds: float
    gap: float = 0.0
    """Seconds between one and the next; 0: at once."""

    def __str__(self) -> str:
        how = f"one every {self.gap:.0f} s" if self.gap else "at once"
        return f"{self.count} tasks of {self.cores} cores and {self.seconds:.0f} s are sent, {how}"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that goes wrong, once or for a while."""

    kind: Kind
    at: float
    seconds: float = 0.0
    """For how long."""
    which: int = 0
    """Of several workers; or the point of the pass."""
    share: float = 1.0
    """Of the workers, the calls or the events."""
    by: float = 0.0
    """By so much the clock is set."""
    what: str = ""
    """Which API fault, lie or mishap."""

    def __str__(self) -> str:
        said = [self.kind.value]
        if self.what:
            said.append(self.what)
        if self.kind in (Kind.CRASH, Kind.STALL, Kind.KILL, Kind.EVICT, Kind.VANISH):
            said.append(f"number {self.which}")
        if self.by:
            said.append(f"by {self.by:+.0f} s")
        if self.seconds:
            said.append(f"for {self.seconds:.0f} s")
        if self.share < 1.0:
            said.append(f"({self.share:.0%})")
        return ", ".join(said)


@dataclass(frozen=True, kw_only=True)
class Script:
    """One history before it happens."""

    seed: int
    broker: Literal["redis", "rabbitmq"]
    batches: tuple[Batch, ...]
    faults: tuple[Fault, ...]


LONGEST = 150.0
"""Everything that is drawn begins within so many seconds."""
_API = (
    FaultKind.STATUS, FaultKind.STATUS_AFTER, FaultKind.REFUSE, FaultKind.LOST, FaultKind.HANG,
    FaultKind.HANG_AFTER, FaultKind.TRUNCATE, FaultKind.GARBAGE, FaultKind.EMPTY, FaultKind.FEWER,
)  # fmt: skip
_LIES = (
    LieKind.NO_NODES, LieKind.HALF_NODES, LieKind.NO_NODEARRAYS, LieKind.NO_BUCKETS, LieKind.TWICE,
    LieKind.SHUFFLED_IDS, LieKind.ALL_TERMINATED, LieKind.UNKNOWN_WORDS, LieKind.NULLS, LieKind.MISSING,
    LieKind.FUZZ,
)  # fmt: skip


def draw(seed: int) -> Script:
    """The script of a seed."""
    chance = Random(seed)
    batches = tuple(
        Batch(
            at=0.0 if not number else round(chance.uniform(0, LONGEST)),
            count=chance.choice((1, 1, 2, 3, 5, 8, 12)),
            cores=chance.choice((1, 1, 2, 4)),
            seconds=round(chance.choice((3.0, 10.0, 30.0, 60.0)) * chance.uniform(0.7, 1.3)),
            gap=round(chance.choice((0.0, 0.0, 0.0, 5.0, 25.0)) * chance.uniform(0.7, 1.3)),
        )
        for number in range(chance.choice((1, 1, 2, 3)))
    )
    faults = tuple(_fault(chance) for _ in range(chance.choice((0, 1, 1, 2, 2, 3, 4))))
    return Script(
        seed=seed,
        broker=chance.choice(("redis", "rabbitmq")),
        batches=tuple(sorted(batches, key=lambda batch: batch.at)),
        faults=tuple(sorted(faults, key=lambda fault: fault.at)),
    )


def _fault(chance: Random) -> Fault:
    kind = chance.choice((*Kind, Kind.CRASH, Kind.CRASH, Kind.API))
    what, share = "", 1.0
    if kind is Kind.API:
        what = chance.choice(_API).value
    elif kind is Kind.LIE:
        what = chance.choice(_LIES).value
    elif kind is Kind.MISHAP:
        what = chance.choice(list(MishapKind)).value
    if kind in (Kind.LOSE, Kind.CUT_OFF, Kind.API):
        share = chance.choice((0.3, 0.6, 1.0))
    lasts = kind not in (Kind.KILL, Kind.EVICT, Kind.VANISH, Kind.SET_CLOCK, Kind.MISHAP)
    return Fault(
        kind=kind,
        at=round(chance.uniform(0, LONGEST)),
        seconds=round(chance.choice((5.0, 30.0, 70.0, 160.0)) * chance.uniform(0.7, 1.3)) if lasts else 0.0,
        which=chance.randrange(1, 70) if kind is Kind.CRASH else chance.randrange(4),
        share=share,
        by=chance.choice((-3600.0, -40.0, 40.0, 3600.0)) if kind is Kind.SET_CLOCK else 0.0,
        what=what,
    )
