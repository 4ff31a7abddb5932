"""The light world of `make policies`: what it counts is right, and each policy does what is said of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from autoscaler_app.listening.recording.trace import Kind, Tasks, Trace, load
from benchmarks._policies import made, page
from benchmarks._policies.idle_timer import IdleTimer
from benchmarks._policies.ours import Ours
from benchmarks._policies.queue_length import QueueLength
from benchmarks._policies.ray import DemandScheduler
from benchmarks._policies.side_by_side import OURS, SITES, Result, settings
from benchmarks._policies.world import SIZES, Policy, Site, World
from scalelib.errors import InvalidInput

KINDS = {"small": {"ncpus": 1}, "other": {"ncpus": 1}, "wide": {"ncpus": 4, "memgb": 30}, "gpu": {"ngpus": 1}}
POLICIES: dict[str, Callable[[], Policy]] = {
    "ours": lambda: Ours({}),
    "queue length": lambda: QueueLength(per_slot=1, window=300, grace=30),
    "ray": lambda: DemandScheduler(idle=300, speed=1),
    "idle timer": lambda: IdleTimer(idle=300, largest=False),
}


class SameBoots(Site):
    """All machines come up after exactly 100 s."""

    def boots(self):  # type: ignore[no-untyped-def]
        while True:
            yield 100.0


def a_trace(*tasks: Tasks) -> Trace:
    return Trace(
        began=datetime(2026, 1, 1, tzinfo=UTC),
        kinds={queue: Kind(queue=queue, constraints=needs) for queue, needs in KINDS.items()},
        tasks=tasks,
        seconds=max((each.at for each in tasks), default=0.0),
    )


def played(policy: Policy, *tasks: Tasks, cores: int = 64, concentrates: bool = False) -> World:
    world = World(a_trace(*tasks), SameBoots(cores=cores), concentrates=concentrates)
    world.run(policy)
    return world


class Buys(Policy):
    """One machine at once, which goes a minute after its last task."""

    def __init__(self, size: int = 0, count: int = 1) -> None:
        self._size, self._count = size, count
        self.at_work: list[tuple[float, int]] = []

    def look(self, world: World) -> float:
        if not world.launched:
            world.launch(SIZES[self._size], self._count)
        for machine in list(world.machines.values()):
            self.at_work.append((world.now, len(machine.running)))
            if machine.is_up and not machine.running and world.now - machine.idle_since >= 60:
                world.end(machine)
        return world.site.interval


# -- what is counted


def test_waits_and_money_are_what_they_are_by_hand() -> None:
    """Four places, up after 100 s, six tasks of 50 s: four begin at 100, two at 150; it goes at 270."""
    world = played(Buys(), Tasks(at=0, queue="small", run=50, count=6))
    assert sorted(world.waits) == [100] * 4 + [150] * 2
    assert world.cost == pytest.approx(SIZES[0].price * 270 / 3600)
    assert (world.done, world.launched, world.wasted, world.hits) == (6, 1, 0, 0)
    assert world.work == 300


def test_a_machine_takes_no_more_than_fits() -> None:
    policy = Buys()
    played(policy, Tasks(at=0, queue="small", run=50, count=40))
    assert max(count for _, count in policy.at_work) == 4


def test_the_oldest_begins_first_whatever_its_queue() -> None:
    tasks = [Tasks(at=n, queue=("small", "other")[n % 2], run=30) for n in range(10)]
    world = played(Buys(), *tasks)
    assert list(world.waits) == [100, 99, 98, 97, 126, 125, 124, 123, 152, 151]


def test_a_machine_that_never_worked_is_counted() -> None:
    world = played(Buys(count=3), Tasks(at=0, queue="small", run=500, count=2))
    assert (world.launched, world.wasted) == (3, 2)


def test_a_task_for_later_waits_from_its_time_on() -> None:
    world = played(Buys(), Tasks(at=0, queue="small", run=5, due=110), Tasks(at=1, queue="small", run=400))
    assert sorted(world.waits) == [0, 99]


@pytest.mark.parametrize("concentrates", [False, True])
def test_of_machines_with_room_the_right_one_takes_the_next(concentrates: bool) -> None:
    """Two machines, one task at a time: in turn, or always the one that was at work last."""
    tasks = [Tasks(at=110 + 30 * n, queue="wide", run=10) for n in range(4)]

    class Both(Buys):
        """By machine, how much it has run."""

        ran: Counter[int]

        def look(self, world: World) -> float:
            self.ran = Counter({n: machine.runs for n, machine in world.machines.items()}) | self.ran
            return super().look(world)

    policy = Both(size=3, count=2)
    policy.ran = Counter()
    played(policy, *tasks, concentrates=concentrates)
    assert sorted(policy.ran.values()) == ([4] if concentrates else [2, 2])


def test_what_is_cut_off_runs_again_and_is_counted() -> None:
    class Cuts(Buys):
        """Ends its machine at 120 s."""

        def look(self, world: World) -> float:
            if world.launched == 1 and world.now >= 120:
                world.end(next(iter(world.machines.values())))
                world.launch(SIZES[0], 1)
            return super().look(world)

    world = played(Cuts(), Tasks(at=0, queue="small", run=50))
    assert (world.done, world.hits, world.launched, list(world.waits)) == (1, 1, 2, [100])


def test_what_is_never_done_is_counted_and_paid() -> None:
    """With only what is ready counted, a long task is killed after each window, and begins anew."""
    policy = QueueLength(per_slot=1, window=60, grace=30, counts_taken=False)
    world = played(policy, Tasks(at=0, queue="small", run=5000), Tasks(at=1, queue="small", run=10))
    assert (world.done, world.undone) == (1, 1)
    assert world.hits > 100
    assert world.cost > 0


@pytest.mark.parametrize("grace", [10.0, 60.0])
def test_who_has_grace_ends_what_it_runs(grace: float) -> None:
    class Warns(Buys):
        def look(self, world: World) -> float:
            for machine in world.machines.values():
                if world.now >= 120 and world.launched == 1 and not machine.is_closed:
                    world.end(machine, grace)
                    world.launch(SIZES[0], 1)
                    break
            return super().look(world)

    world = played(Warns(), Tasks(at=0, queue="small", run=50))
    assert world.hits == (1 if grace < 30 else 0)


def test_what_cannot_be_played_is_told() -> None:
    for kind in (Kind(queue="q", constraints={"license": 1}), Kind(queue="q", node_count=2)):
        trace = Trace(began=datetime(2026, 1, 1, tzinfo=UTC), kinds={"q": kind})
        with pytest.raises(InvalidInput, match="no gangs"):
            World(trace, Site(cores=8))


# -- whatever decides


@pytest.mark.parametrize("policy", POLICIES)
def test_every_task_is_done_once_within_the_limit_and_all_machines_go(policy: str) -> None:
    tasks = [
        *(Tasks(at=90 * n, queue="small", run=20 + 7 * n % 60, count=1 + n % 9) for n in range(20)),
        *(Tasks(at=200 * n, queue="wide", run=150, count=3) for n in range(5)),
        Tasks(at=500, queue="gpu", run=300, count=3),
    ]
    world = played(POLICIES[policy](), *tasks, cores=60)
    assert world.done == world.trace.count == len(world.waits)
    assert not world.machines
    assert max(cores for _, cores, _ in world.cores_at) <= 60


def test_the_same_trace_and_policy_give_the_same_history() -> None:
    tasks = [Tasks(at=50 * n, queue="small", run=33, count=1 + n % 5) for n in range(12)]
    for make in POLICIES.values():
        one, two = played(make(), *tasks), played(make(), *tasks)
        assert (one.cost, list(one.waits), one.launched) == (two.cost, list(two.waits), two.launched)


def test_ours_ends_nothing_that_runs_and_shrinks_to_what_is_needed() -> None:
    """A burst, and then a trickle that touches every machine in turn: the fleet goes all the same."""
    trickle = [Tasks(at=600 + 10 * n, queue="small", run=8) for n in range(150)]
    world = played(Ours({}), Tasks(at=0, queue="small", run=300, count=32), *trickle)
    assert world.hits == 0
    assert max(cores for _, cores, _ in world.cores_at) == 32
    assert next(cores for at, cores, _ in world.cores_at if at >= 1800) == 16
    idle_timers = played(POLICIES["idle timer"](), Tasks(at=0, queue="small", run=300, count=32), *trickle)
    assert world.cost < idle_timers.cost


# -- each by itself


def launched_at_once(policy: Policy, *tasks: Tasks, cores: int = 200) -> Counter[str]:
    """What the first look asks for."""
    world = World(a_trace(*tasks), SameBoots(cores=cores))
    for each in tasks:
        world._came(each.queue, each.run or 0.0, each.count)
    policy.look(world)
    return Counter(machine.size.name for machine in world.machines.values())


def test_the_queue_rule_has_its_length_over_n_of_machines_for_each_queue() -> None:
    policy = QueueLength(per_slot=2, window=300, grace=30)
    tasks = Tasks(at=0, queue="small", run=9, count=17), Tasks(at=0, queue="gpu", run=9, count=3)
    assert launched_at_once(policy, *tasks) == {"F4": 3, "NC6": 2}


def test_the_queue_rule_shrinks_when_less_was_wanted_for_the_window_and_hits_what_runs() -> None:
    """Of two machines of four places one is wanted when four tasks are left, and the youngest goes."""
    tasks = Tasks(at=0, queue="small", run=100, count=4), Tasks(at=1, queue="small", run=900, count=4)
    assert played(QueueLength(per_slot=1, window=60, grace=30), *tasks).hits == 4
    assert played(QueueLength(per_slot=1, window=60, grace=3600), *tasks).hits == 0
    assert played(QueueLength(per_slot=1, window=1000, grace=30), *tasks).hits == 0


def test_ray_s_scheduler_fills_machines_and_leaves_gpus_alone() -> None:
    policy = DemandScheduler(idle=300, speed=100)
    assert launched_at_once(policy, Tasks(at=0, queue="wide", run=9, count=2)) == {"E8": 1}
    assert launched_at_once(policy, Tasks(at=0, queue="gpu", run=9, count=2)) == {"NC6": 2}


def test_ray_s_scheduler_asks_for_five_at_first() -> None:
    policy = DemandScheduler(idle=300, speed=1)
    assert launched_at_once(policy, Tasks(at=0, queue="small", run=9, count=900)).total() == 5


@pytest.mark.parametrize(("largest", "name"), [(False, "F4"), (True, "E16")])
def test_the_idle_timer_buys_from_the_first_bucket(largest: bool, name: str) -> None:
    policy = IdleTimer(idle=300, largest=largest)
    assert launched_at_once(policy, Tasks(at=0, queue="small", run=9, count=3)) == {name: 1}


def test_the_idle_timer_ends_what_had_nothing_for_so_long() -> None:
    """Up at 100 s, done at 150 s, gone when it looks first 300 s after that."""
    world = played(IdleTimer(idle=300, largest=False), Tasks(at=0, queue="small", run=50))
    assert world.cost == pytest.approx(SIZES[0].price * 450 / 3600)


# -- what ships


@pytest.mark.parametrize("make", made.SHIPPED, ids=lambda make: make.__name__)
def test_the_traces_that_ship_are_those_that_the_script_makes(make: Callable[[], Trace]) -> None:
    shipped = load(made.FOLDER / f"{make.__name__}.jsonl")
    assert shipped == make()
    assert make.__name__ in SITES
    assert (made.FOLDER / f"{make.__name__}.jsonl").stat().st_size < 120_000


def test_the_large_week_has_a_million_tasks_and_mornings_with_a_task_for_each_of_ten_thousand_nodes() -> None:
    trace = made.large()
    assert 950_000 < trace.count <= 1_000_000
    for day in range(7):
        morning = [each for each in trace.tasks if 9 * 3600 <= each.at - day * 86_400 < 9 * 3600 + 600]
        assert sum(each.count for each in morning if each.queue == "arrays") == 10_000


def test_the_page_has_every_trace_and_every_policy() -> None:
    text = page.PAGE.read_text()
    for trace in SITES:
        assert f"### {trace}: " in text
        assert f"pictures/policies-{trace}.svg" in text
        assert (page.PICTURES / f"policies-{trace}.svg").exists()
    for each in settings():
        assert not each.as_it_comes or text.count(f"as it comes: {each.name}") >= 1 or each.name in text


def a_result(policy: str, cost: float, mean: float, *, hits: int = 0, setting: str = "s") -> Result:
    return Result(
        trace="bursts",
        policy=policy,
        setting=setting,
        as_it_comes=True,
        cost=cost,
        floor=1,
        mean=mean,
        median=mean,
        p99=mean,
        launched=1,
        wasted=0,
        hits=hits,
        undone=0,
        cores_at=((0.0, 8, 0), (3600.0, 4, 1)),
    )


def test_the_page_says_who_is_better_than_ours() -> None:
    ours, worse = a_result(OURS, 10, 50), a_result("idle timer", 12, 40)
    told = "".join(page.verdict([ours, worse]))
    assert "the least cost of the others is idle timer, s: cost 12.00, mean wait 40 s" in told
    assert "None of the others costs as little" in told
    assert "at once: 0 of 1." in told
    better = a_result("Ray's scheduler", 9, 45, setting="quick")
    told = "".join(page.verdict([ours, worse, better]))
    assert "the least cost of the others is Ray's scheduler, quick: cost 9.00" in told
    assert "the shortest mean wait of the others is Ray's scheduler, quick" in told
    assert "at once: 1 of 2." in told


def test_who_hits_tasks_is_not_called_better() -> None:
    ours, cheating = a_result(OURS, 10, 50), a_result("queue length per N", 1, 1, hits=5)
    assert "at once: 0 of 0." in "".join(page.verdict([ours, cheating]))
    [row] = page.rows([cheating])
    assert row.endswith("| 5 |")


def test_pictures_have_a_mark_for_each_setting_and_a_line_for_each_policy() -> None:
    some = [a_result(policy, 3 + n, 20 * n + 5) for n, policy in enumerate(page.POLICIES)]
    assert page.scatter(some).count("<circle") == 4
    assert page.cores(some).count("<polyline") == 4
