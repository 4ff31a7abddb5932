"""Money per hour of a packing beside a proven bound, on seeded random demand; and the time packing takes.

Sizes are public ones of Azure with their vCPUs, GiB and GPUs; prices are approximate list prices per hour
(Linux, pay as you go, East US, early 2025). Every instance is drawn from its own seed. The bound of an
instance is the best that is proved in its budget by the solver, or apart from it by `scalelib.packing.proof`
in `PROOF_SECONDS`; which proof that was is printed. Seconds are those that the
process computed, so that the numbers hold on a busy machine too; one core is used.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks import Measurement
from scalelib.packing import Item, Offer, Packing, Pool, has_solver, pack

BUDGET = 2.0
"""Seconds for the solver, as by default."""
PROOF_SECONDS = 30.0
CLOSE = 2e-3
"""A gap that the solver proves itself, at which no further proof is looked for."""
SEEDS = range(3)

SIZES: dict[str, tuple[int, int, int, float]] = {
    # name: (vCPU, GiB, GPU, price per hour)
    "F2s_v2": (2, 4, 0, 0.0846),
    "F4s_v2": (4, 8, 0, 0.169),
    "F8s_v2": (8, 16, 0, 0.338),
    "F16s_v2": (16, 32, 0, 0.677),
    "F32s_v2": (32, 64, 0, 1.353),
    "F64s_v2": (64, 128, 0, 2.706),
    "F72s_v2": (72, 144, 0, 3.045),
    "D2s_v5": (2, 8, 0, 0.096),
    "D4s_v5": (4, 16, 0, 0.192),
    "D8s_v5": (8, 32, 0, 0.384),
    "D16s_v5": (16, 64, 0, 0.768),
    "D32s_v5": (32, 128, 0, 1.536),
    "D48s_v5": (48, 192, 0, 2.304),
    "D64s_v5": (64, 256, 0, 3.072),
    "D96s_v5": (96, 384, 0, 4.608),
    "E2s_v5": (2, 16, 0, 0.126),
    "E4s_v5": (4, 32, 0, 0.252),
    "E8s_v5": (8, 64, 0, 0.504),
    "E16s_v5": (16, 128, 0, 1.008),
    "E32s_v5": (32, 256, 0, 2.016),
    "E48s_v5": (48, 384, 0, 3.024),
    "E64s_v5": (64, 512, 0, 4.032),
    "HC44rs": (44, 352, 0, 3.168),
    "HB120rs_v3": (120, 448, 0, 3.60),
    "NC4as_T4_v3": (4, 28, 1, 0.526),
    "NC8as_T4_v3": (8, 56, 1, 0.752),
    "NC16as_T4_v3": (16, 110, 1, 1.204),
    "NC64as_T4_v3": (64, 440, 4, 4.352),
    "NC6s_v3": (6, 112, 1, 3.06),
    "NC12s_v3": (12, 224, 2, 6.12),
    "NC24s_v3": (24, 448, 4, 12.24),
    "NC24ads_A100_v4": (24, 220, 1, 3.673),
    "NC48ads_A100_v4": (48, 440, 2, 7.346),
    "NC96ads_A100_v4": (96, 880, 4, 14.692),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Instance:
    """Some demand and what can be bought for it."""

    name: str
    jobs: int
    items: tuple[Item, ...]
    offers: tuple[Offer, ...]


def instance(seed: int, *, jobs: int, live: bool = False, kinds: int | None = None) -> Instance:
    """`jobs` random jobs of `kinds` kinds (default: 3 to 40), 8 to 20 sizes, and running machines if `live`.

    Memory is counted in tenths of a GiB, cores and GPUs in whole ones.
    """
    draw = random.Random(f"packing-{seed}-{jobs}-{live}-{kinds}")
    plain = [name for name, size in SIZES.items() if not size[2]]
    gpu = [name for name, size in SIZES.items() if size[2]]
    names = draw.sample(plain, draw.randint(6, 14)) + draw.sample(gpu, draw.randint(2, 6))
    if "E64s_v5" not in names:
        names.append("E64s_v5")  # so that every job drawn below fits somewhere
    most_gpus = max(SIZES[name][2] for name in names)
    gpu_share = draw.choice((0.0, 0.1, 0.3))
    shapes = [_shape(draw, gpu_share, most_gpus) for _ in range(min(kinds or draw.randint(3, 40), jobs))]
    counts = [1] * len(shapes)
    weights = [draw.random() ** 2 + 0.01 for _ in shapes]
    for kind in draw.choices(range(len(shapes)), weights, k=jobs - len(shapes)):
        counts[kind] += 1
    items = _items(shapes, counts)
    offers = [
        Offer(key=name, capacity=_capacity(SIZES[name]), price=SIZES[name][3], most=None) for name in names
    ]
    if live:
        for number in range(draw.randint(1, 12)):
            size = SIZES[draw.choice(names)]
            used = draw.choice((0.0, 0.0, 0.25, 0.5, 0.75))
            capacity = tuple(int(amount * (1 - used)) for amount in _capacity(size))
            most = draw.randint(1, max(jobs // 40, 1))
            offers.append(Offer(key=f"live-{number}", capacity=capacity, price=0.0, most=most))
    name = f"{jobs} jobs of {len(items)} kinds, {'live nodes' if live else 'cold'}, seed {seed}"
    return Instance(name=name, jobs=jobs, items=items, offers=tuple(offers))


def _shape(draw: random.Random, gpu_share: float, most_gpus: int) -> tuple[int, int, int]:
    """One kind of job: cores, tenths of a GiB, GPUs. The largest fits on NC4as_T4_v3 or on E64s_v5."""
    if draw.random() < gpu_share:
        gpus = draw.choice([n for n in (1, 1, 1, 2, 4) if n <= most_gpus])
        return gpus * draw.randint(1, 4), gpus * draw.randint(10, 280), gpus
    cores = draw.choice((1, 1, 1, 2, 2, 3, 4, 4, 6, 8, 12, 16, 24, 32))
    return cores, min(cores * draw.choice((5, 10, 18, 20, 35, 40, 75, 80, 120)) + draw.randint(0, 9), 5000), 0


def _items(shapes: Sequence[tuple[int, int, int]], counts: Sequence[int]) -> tuple[Item, ...]:
    together: dict[tuple[int, int, int], int] = {}
    for shape, count in zip(shapes, counts, strict=True):
        together[shape] = together.get(shape, 0) + count
    return tuple(
        Item(key=f"job-{number:05}", count=count, needs=shape)
        for number, (shape, count) in enumerate(together.items())
    )


def _capacity(size: tuple[int, int, int, float]) -> tuple[int, int, int]:
    return size[0], size[1] * 10, size[2]


def instances() -> Iterator[Instance]:
    """The demand that money is measured on: 20 to 10,000 jobs, cold and with running machines."""
    for jobs in (20, 100, 1000, 10_000):
        for live in (False, True):
            for seed in SEEDS:
                yield instance(seed, jobs=jobs, live=live)
    for jobs in (20, 100):
        for live in (False, True):
            for seed in SEEDS:
                yield instance(seed, jobs=jobs, live=live, kinds=jobs)  # (nearly) no two jobs alike


def first_fit_decreasing(items: Sequence[Item], offers: Sequence[Offer], favourite: str = "") -> float:
    """Price of the plain baseline: largest first, into the first machine with room, else a new one.

    The new one is of the favourite size if that fits, else of the cheapest size that does. Running machines
    are open from the start.
    """
    machines = [[*o.capacity] for o in offers if not o.price for _ in range(o.most or 0)]
    buyable = sorted((o for o in offers if o.price), key=lambda o: (o.key != favourite, o.price))
    scale = [max(o.capacity[d] for o in offers) or 1 for d in range(len(offers[0].capacity))]
    price = 0.0
    for item in sorted(items, key=lambda i: -max(n / s for n, s in zip(i.needs, scale, strict=True))):
        left = item.count
        for free in machines:
            left -= _put(free, item, left)
        while left:
            offer = next(
                o for o in buyable if all(n <= c for n, c in zip(item.needs, o.capacity, strict=True))
            )
            machines.append([*offer.capacity])
            price += offer.price
            left -= _put(machines[-1], item, left)
    return price


def _put(free: list[int], item: Item, most: int) -> int:
    units = min(most, *(have // need for have, need in zip(free, item.needs, strict=True) if need))
    for d, need in enumerate(item.needs):
        free[d] -= need * units
    return units


def single_size(items: Sequence[Item], offers: Sequence[Offer]) -> float:
    """Price of the other baseline: one size for everything that fits it, the best choice of that size."""
    return min(first_fit_decreasing(items, offers, o.key) for o in offers if o.price)


def _timed(
    items: Sequence[Item],
    offers: Sequence[Offer],
    pools: Sequence[Pool] = (),
    *,
    solver: bool = True,
    budget: float = BUDGET,
) -> tuple[Packing, float]:
    start = time.process_time()
    packing = pack(items, offers, pools, solver=solver, budget=budget, clock=time.process_time)
    return packing, time.process_time() - start


def measure() -> Iterator[Measurement]:
    """Speed, then money."""
    yield from _speed()
    yield from _money()


def _speed() -> Iterator[Measurement]:
    """50 kinds, 50 offers, 50 kinds of running machines (5,000 of them), under pools; greedy only."""
    problems = {count: _large(count) for count in (1_000, 1_000_000)}
    seconds = {}
    for count, (items, offers, pools) in problems.items():
        seconds[count] = min(_timed(items, offers, pools, solver=False)[1] for _ in range(3))
    name = "greedy, 50 kinds, 50 offers, 5,000 live nodes"
    yield Measurement(
        name=f"{name}, 1,000,000 units", metric="seconds", value=seconds[1_000_000], unit="s", target=0.1
    )
    yield Measurement(
        name=f"{name}, 1,000,000 against 1,000 units",
        metric="times as long",
        value=seconds[1_000_000] / seconds[1_000],
        unit="",
    )


def _large(units: int) -> tuple[list[Item], list[Offer], list[Pool]]:
    draw = random.Random("large")
    shapes: set[tuple[int, int, int]] = set()
    while len(shapes) < 50:
        shapes.add(_shape(draw, 0.1, 4))
    items = [Item(key=f"job-{n:02}", count=units // 50, needs=s) for n, s in enumerate(sorted(shapes))]
    sizes = [(name, SIZES[name]) for name in (list(SIZES) * 2)[:50]]
    pools = [Pool(key="cluster"), *(Pool(key=family, cores=20 * units) for family in "DEFHN")]
    offers = [
        Offer(
            key=f"new-{n:02}",
            capacity=_capacity(size),
            price=size[3],
            pools={"cluster": size[0], name[0]: size[0]},
        )
        for n, (name, size) in enumerate(sizes)
    ]
    for n, (_, size) in enumerate(sizes):
        free = draw.choice((0.25, 0.5, 1.0))
        capacity = tuple(int(amount * free) for amount in _capacity(size))
        offers.append(Offer(key=f"live-{n:02}", capacity=capacity, price=0.0, most=100))
    return items, offers, pools


def _money() -> Iterator[Measurement]:
    ratios: dict[str, list[float]] = {}
    by_jobs: dict[tuple[str, int], list[float]] = {}
    seconds: dict[str, list[float]] = {}
    gaps: list[float] = []
    for one in instances():
        greedy, greedy_seconds = _timed(one.items, one.offers, solver=False)
        solved, solver_seconds = _timed(one.items, one.offers, budget=BUDGET)
        if not solved.price:
            continue  # running machines are enough: nothing to pay
        bound, by = _bound(one, solved)
        yield Measurement(
            name=f"solver, {one.name}, bound by {by}", metric="ratio", value=solved.price / bound, unit=""
        )
        seconds.setdefault("greedy", []).append(greedy_seconds)
        seconds.setdefault("solver", []).append(solver_seconds)
        if solved.gap is not None:
            gaps.append(solved.gap)
        for name, price in (
            ("solver", solved.price),
            ("greedy", greedy.price),
            ("first-fit-decreasing", first_fit_decreasing(one.items, one.offers)),
            ("single cheapest size", single_size(one.items, one.offers)),
        ):
            ratios.setdefault(name, []).append(price / bound)
            by_jobs.setdefault((name, one.jobs), []).append(price / bound)
    targets = {"solver": (1.01, 1.04), "greedy": (1.06, 1.15)} if has_solver() else {"greedy": (1.06, 1.15)}
    for name, values in ratios.items():
        mean, worst = targets.get(name, (None, None))
        title = f"{name}, price beside the bound, {len(values)} mixes"
        yield Measurement(
            name=title, metric="mean ratio", value=statistics.mean(values), unit="", target=mean
        )
        yield Measurement(name=title, metric="worst ratio", value=max(values), unit="", target=worst)
    for (name, jobs), values in by_jobs.items():
        if name in ("solver", "greedy"):
            yield Measurement(
                name=f"{name}, the mixes of {jobs:,} jobs",
                metric="mean ratio",
                value=statistics.mean(values),
                unit="",
            )
    for name, values in seconds.items():
        limit = BUDGET * 1.1 if name == "solver" else None
        yield Measurement(
            name=f"{name}, computing", metric="worst seconds", value=max(values), unit="s", target=limit
        )
    yield Measurement(
        name="solver, gap that it proves itself in its budget",
        metric="mean gap",
        value=statistics.mean(gaps),
        unit="",
    )


def _bound(one: Instance, solved: Packing) -> tuple[float, str]:
    """The best bound known and how it was proved: with the packing, or apart if that proved too little."""
    if solved.bound and (not has_solver() or (solved.gap is not None and solved.gap < CLOSE)):
        return solved.bound, "its own proof"

    # Here, since highspy is optional.
    from scalelib.packing.proof import prove

    proof = prove(one.items, one.offers, packing=solved, budget=PROOF_SECONDS)
    if solved.bound and solved.bound >= proof.bound:
        return solved.bound, "its own proof"
    return proof.bound, proof.by
