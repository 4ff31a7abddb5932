"""Each policy at each of its settings on each trace that ships, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import Pool
from pathlib import Path
from typing import Any

from autoscaler_app.listening.recording.trace import load
from benchmarks._policies.idle_timer import IdleTimer
from benchmarks._policies.ours import Ours
from benchmarks._policies.queue_length import QueueLength
from benchmarks._policies.ray import DemandScheduler
from benchmarks._policies.world import Policy, Site, World

TRACES = Path(__file__).resolve().parents[1] / "traces"
SITES = {
    "bursts": Site(cores=400, interval=30),
    "batches": Site(cores=2_000, interval=120),
    "seasons": Site(cores=600, interval=120),
}
"""By everybody equally often; less often than is usual, so that all of it takes minutes."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A policy at one of its settings."""

    policy: str
    name: str
    make: Callable[..., Policy]
    options: dict[str, Any]
    concentrates: bool = False
    as_it_comes: bool = False
    """These are the defaults of who made it, or the nearest to them."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of one setting on one trace."""

    trace: str
    policy: str
    setting: str
    as_it_comes: bool
    cost: float
    floor: float
    """What all of the work costs on the cheapest cores there are, always full, never booting."""
    mean: float
    median: float
    p99: float
    launched: int
    wasted: int
    hits: int
    undone: int
    """Tasks that were hit again and again, and never done."""
    cores_at: tuple[tuple[float, int, int], ...]

    @property
    def is_harmless(self) -> bool:
        """It hit no task, and all were done."""
        return not (self.hits or self.undone)

    def beats(self, other: Result) -> bool:
        """It is no worse in cost, mean and 99th percentile, and better in one of them."""
        mine, theirs = (self.cost, self.mean, self.p99), (other.cost, other.mean, other.p99)
        return mine != theirs and all(a <= b for a, b in zip(mine, theirs, strict=True)) and self.is_harmless


OURS, KEDA, RAY, SCALELIB = "ours", "queue length per N", "Ray's scheduler", "idle timer"
POLICIES = (OURS, KEDA, RAY, SCALELIB)


def settings() -> Iterator[Setting]:
    """All that are tried. Of each policy those that its users turn."""
    for idle, drain in ((300, 300), (60, 300), (300, 60), (60, 60), (60, 120)):
        yield Setting(
            policy=OURS,
            name=f"idle_timeout {idle}, target_drain_time {drain}",
            make=Ours,
            options={"config": {"idle_timeout": idle, "autoscaler": {"target_drain_time": drain}}},
            as_it_comes=idle == drain == 300,
        )
    for per_slot in (1, 2, 4, 8):
        for window in (60, 300):
            for grace in (30, 3600):
                yield Setting(
                    policy=KEDA,
                    name=f"{per_slot} a slot, window {window}, grace {grace}",
                    make=QueueLength,
                    options={"per_slot": per_slot, "window": window, "grace": grace},
                    as_it_comes=(per_slot, window, grace) == (1, 300, 30),
                )
    for per_slot in (16, 32):
        for window in (60, 300):
            yield Setting(
                policy=KEDA,
                name=f"{per_slot} a slot, window {window}, grace 3600",
                make=QueueLength,
                options={"per_slot": per_slot, "window": window, "grace": 3600},
            )
    yield Setting(
        policy=KEDA,
        name="1 a slot, window 300, grace 30, only what is ready counts (Redis)",
        make=QueueLength,
        options={"per_slot": 1, "window": 300, "grace": 30, "counts_taken": False},
    )
    for concentrates in (False, True):
        how = ", work concentrated" if concentrates else ""
        for idle in (60, 300, 900):
            for speed in (1, 100):
                yield Setting(
                    policy=RAY,
                    name=f"idle {idle}, speed {speed}{how}",
                    make=DemandScheduler,
                    options={"idle": idle, "speed": speed},
                    concentrates=concentrates,
                    as_it_comes=(idle, speed, concentrates) == (300, 1, False),
                )
            for largest in (False, True):
                yield Setting(
                    policy=SCALELIB,
                    name=f"idle {idle}, {'largest' if largest else 'smallest'} first{how}",
                    make=IdleTimer,
                    options={"idle": idle, "largest": largest},
                    concentrates=concentrates,
                    as_it_comes=(idle, largest, concentrates) == (300, False, False),
                )


def results(processes: int = 2) -> list[Result]:
    """All of them, in order. The longest are begun first."""
    work = [(trace, setting) for trace in reversed(SITES) for setting in settings()]
    with Pool(processes) as pool:
        found = pool.starmap(result, work, chunksize=1)
    order = list(SITES)
    return sorted(found, key=lambda each: order.index(each.trace))


def result(trace: str, setting: Setting) -> Result:
    """One history."""
    world = World(load(TRACES / f"{trace}.jsonl"), SITES[trace], concentrates=setting.concentrates)
    world.run(setting.make(**setting.options))
    if world.done + world.undone != world.trace.count:
        raise AssertionError(
            f"{setting.name} on {trace}: {world.done} of {world.trace.count} tasks were done"
        )
    waits = sorted(world.waits)
    cheapest = min(size.price / size.cores for size in world.site.sizes)
    return Result(
        trace=trace,
        policy=setting.policy,
        setting=setting.name,
        as_it_comes=setting.as_it_comes,
        cost=world.cost,
        floor=world.work / 3600 * cheapest,
        mean=sum(waits) / len(waits),
        median=waits[len(waits) // 2],
        p99=waits[int(len(waits) * 0.99)],
        launched=world.launched,
        wasted=world.wasted,
        hits=world.hits,
        undone=world.undone,
        cores_at=tuple(world.cores_at) if setting.as_it_comes else (),
    )
