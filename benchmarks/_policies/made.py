"""Three days as they might be, and one week that is too large to ship: made by a seed, always the same.

`python -m benchmarks._policies.made` writes the three to `benchmarks/traces`; a test holds the files to it.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from autoscaler_app.listening.recording.trace import Kind, Tasks, Trace, write

FOLDER = Path(__file__).resolve().parents[1] / "traces"
HOUR, DAY = 3600.0, 86_400.0
MONDAY = datetime(2026, 1, 5, tzinfo=UTC)


def bursts() -> Trace:
    """A day of a site: short tasks all day, sixteen bursts, pictures now and then."""
    chance, made = Random(101), []
    for second in _moments(chance, DAY, lambda t: 6 + 60 * _daylight(t)):
        made.append(_some(chance, second, "web", 3, count=1 + chance.randrange(6)))
    for _ in range(16):
        start = chance.uniform(7 * HOUR, 21 * HOUR)
        for _ in range(chance.randrange(10, 60)):
            when = start + chance.expovariate(1 / 120)
            made.append(_some(chance, when, "web", 4, count=chance.randrange(5, 60)))
    for second in _moments(chance, DAY, lambda t: 1 + 5 * _daylight(t)):
        made.append(_some(chance, second, "pictures", 45, count=chance.randrange(1, 25)))
    kinds = {"web": {"ncpus": 1, "memgb": 1}, "pictures": {"ncpus": 2, "memgb": 4}}
    return _trace("a day of a site: short tasks, and bursts of them", kinds, made, DAY)


def batches() -> Trace:
    """A day of a laboratory: arrays of long tasks, a load of data each night, some training."""
    chance, made = Random(102), []
    for _ in range(7):
        when = chance.uniform(8 * HOUR, 20 * HOUR)
        mean, size = chance.choice((600, 1500, 3000)), chance.randrange(40, 300)
        for part in range(8):  # the tasks of an array are alike, and not equal
            made.append(_some(chance, when + part, "arrays", mean, count=1 + size // 8, spread=0.2))
    for part in range(12):
        made.append(_some(chance, 2 * HOUR + part, "load", 300, count=25, spread=0.3))
    for _ in range(10):
        when = chance.uniform(9 * HOUR, 19 * HOUR)
        made.append(_some(chance, when, "training", 4000, count=chance.randrange(1, 3)))
    for hour in range(24):
        for part in range(4):
            when = hour * HOUR + part
            made.append(_some(chance, when, "hourly", 40, count=50, spread=0.2))
    kinds = {
        "arrays": {"ncpus": 4, "memgb": 8},
        "load": {"ncpus": 2, "memgb": 14},
        "training": {"ncpus": 4, "ngpus": 1},
        "hourly": {"ncpus": 1, "memgb": 2},
    }
    return _trace("a day of a laboratory: arrays of long tasks, nightly and hourly batches", kinds, made, DAY)


def seasons() -> Trace:
    """A week of a service: busy by day, quiet at night, little at the weekend."""
    chance, made = Random(103), []

    def level(t: float) -> float:
        return _daylight(t) * (1.0 if t < 5 * DAY else 0.25)

    for second in _moments(chance, 7 * DAY, lambda t: 1 + 14 * level(t)):
        made.append(_some(chance, second, "calls", 20, count=1 + int(chance.expovariate(1 / 20))))
    for second in _moments(chance, 7 * DAY, lambda t: 0.3 + 6 * level(t)):
        made.append(_some(chance, second, "reports", 240, count=1 + int(chance.expovariate(1 / 5))))
    for second in _moments(chance, 7 * DAY, lambda t: 0.1 + 2.5 * level(t)):
        made.append(_some(chance, second, "models", 900, count=1 + int(chance.expovariate(1 / 3))))
    kinds = {
        "calls": {"ncpus": 1, "memgb": 2},
        "reports": {"ncpus": 2, "memgb": 4},
        "models": {"ncpus": 8, "memgb": 48},
    }
    return _trace("a week of a service: by day, by night, and a weekend", kinds, made, 7 * DAY)


def large(tasks: int = 1_000_000, nodes: int = 10_000) -> Trace:
    """A week of about so many tasks, with one morning each day on which about so many nodes are wanted."""
    chance, made = Random(104), []
    each = tasks // 7
    for day in range(7):
        # All at once in the morning, so many that the limit is reached: of four cores each.
        rest = each
        for part in range(20):
            count = nodes // 20
            when = day * DAY + 9 * HOUR + part * 30
            made.append(_some(chance, when, "arrays", 2400, count=count, spread=0.2))
            rest -= count
        moments = list(_moments(chance, DAY, lambda t: 10 + 50 * _daylight(t)))
        for second in moments:
            queue, mean = chance.choice((("calls", 60), ("reports", 300)))
            made.append(_some(chance, day * DAY + second, queue, mean, count=max(1, rest // len(moments))))
    kinds = {
        "arrays": {"ncpus": 4, "memgb": 8},
        "calls": {"ncpus": 1, "memgb": 2},
        "reports": {"ncpus": 2, "memgb": 4},
    }
    return _trace("a week, large", kinds, made, 7 * DAY)


SHIPPED = (bursts, batches, seasons)


def _daylight(t: float) -> float:
    """From 0 at night to 1 in the early afternoon."""
    hour = t % DAY / HOUR
    return max(0.0, math.sin((hour - 7) / 13 * math.pi)) if 7 < hour < 20 else 0.0


def _moments(chance: Random, seconds: float, per_hour: object) -> list[float]:
    """Moments at random, so many an hour as the function says of the time."""
    found, t, most = [], 0.0, 80.0
    while (t := t + chance.expovariate(most / HOUR)) < seconds:
        if chance.random() < per_hour(t) / most:  # type: ignore[operator]
            found.append(t)
    return found


def _some(
    chance: Random, at: float, queue: str, mean: float, *, count: int = 1, spread: float = 0.4
) -> Tasks:
    run = mean * chance.lognormvariate(-spread * spread / 2, spread)
    return Tasks(at=round(at, 1), queue=queue, run=float(f"{run:.3g}"), count=count)


def _trace(note: str, kinds: dict[str, dict[str, float]], made: list[Tasks], seconds: float) -> Trace:
    return Trace(
        began=MONDAY,
        note=note,
        kinds={queue: Kind(queue=queue, constraints=needs) for queue, needs in kinds.items()},
        tasks=tuple(sorted((each for each in made if each.at < seconds), key=lambda each: each.at)),
        seconds=seconds,
    )


if __name__ == "__main__":
    for make in SHIPPED:
        write(FOLDER / f"{make.__name__}.jsonl", make())
