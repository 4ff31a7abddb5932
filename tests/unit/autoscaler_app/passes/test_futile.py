"""Money has an end: machines that come up and never run what they were bought for stop being bought."""

from __future__ import annotations

import random
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from autoscaler_app.passes.observe.learnt import recall
from tests.unit.autoscaler_app.passes.lying_world import LIES, LyingWorld, Queue
from tests.unit.autoscaler_app.world import World

HOUR = timedelta(hours=1)
FIRST = 20
"""Machines of the first purchase below."""


def world_of(*lies: str, seed: int = 1, waiting: int = 2 * FIRST, **changes: Any) -> LyingWorld:
    """A queue of so many tasks, two of which fill a machine."""
    return LyingWorld(
        {"res:a": Queue({"ncpus": 1, "memgb": 2}, waiting)}, random.Random(seed), lies, **changes
    )


def futile(world: LyingWorld) -> list[tuple[str, int]]:
    assert world.plan is not None
    return [(left.job, left.count) for left in world.plan.unserved if left.reason == "futile"]


# -- the bound


@pytest.mark.parametrize("seed", range(8))
def test_whatever_the_world_lies_about_a_small_multiple_of_the_honest_plan_is_spent(seed: int) -> None:
    chance, hours = random.Random(seed), 2
    kinds = [
        {"ncpus": 1, "memgb": 2},
        {"ncpus": 2, "memgb": 4},
        {"ncpus": 1, "memgb": 3.9},
        {"ncpus": 6, "memgb": 8},
    ]
    queues = [
        (f"res:{i}", needs, chance.randint(1, 30), chance.choice((30.0, 600.0, 1800.0)))
        for i, needs in enumerate(chance.sample(kinds, chance.randint(1, 3)))
    ]
    lies = tuple(chance.sample(LIES, chance.randint(1, 3)))

    def spent(*lies: str, **changes: Any) -> float:
        tasks = {name: Queue(needs, count, seconds) for name, needs, count, seconds in queues}
        return LyingWorld(tasks, random.Random(seed), lies, **changes).go_on(hours * HOUR).spent

    honest = spent()
    # One machine at a time is tried of each kind, the dearest for as long as a boot may last.
    tries = len(queues) * hours * 0.5 * 0.6
    share = chance.choice((1.0, 0.9, 0.5))
    assert spent(*lies, share=share) <= 3 * honest + tries, (lies, share, queues)
    assert spent(*lies, share=share, tasks_vanish=True) <= 3 * honest + tries, (lies, share, queues)


@pytest.mark.parametrize("lie", [lie for lie in LIES if lie != "has less"])
def test_each_lie_is_found_out_and_the_work_is_futile_in_the_open(lie: str) -> None:
    world = world_of(lie).go_on(2 * HOUR)
    ((job, count),) = futile(world)
    assert (job, count) >= ("res:a", 2 * FIRST - 1), "all but the one that may be tried just now"
    assert len(world.launched) <= FIRST + 5
    assert len(world.machines) <= 1, "and none of it is kept"


def test_tasks_that_are_gone_whenever_a_machine_is_up_stop_buying_machines() -> None:
    world = world_of(tasks_vanish=True).go_on(2 * HOUR)
    assert len(world.launched) <= FIRST + 5


# -- the order of things


def test_at_once_then_after_a_pause_that_grows_then_once_an_hour() -> None:
    world = world_of("never joins").go_on(5 * HOUR)
    tries = world.launched[FIRST:]
    gaps = [(later - sooner).total_seconds() for sooner, later in pairwise(tries)]
    lived = gaps[0] - 300
    assert world.launched[:FIRST] == [world.launched[0]] * FIRST
    assert tries[0] - world.launched[0] <= timedelta(minutes=8), "the second is tried at once"
    assert gaps[:2] == [300 + lived, 600 + lived]
    assert set(gaps[2:]) == {3600 + lived}, "futile from the fourth on"
    (left,) = (left for left in world.plan.unserved) if world.plan else ()
    assert "in a row" in left.detail
    assert "worker-" in left.detail, "what was tried is named"
    assert "tried again after" in left.detail
    assert any("futile" in warning for warning in world.plan.warnings) if world.plan else False


def test_the_settings_say_how_often_and_how_long() -> None:
    settings = {"futile_times": 2, "futile_retry": 7200.0}
    world = world_of("never joins", settings=settings).go_on(timedelta(hours=2))
    assert len(world.launched) == FIRST + 1


def test_a_kind_that_is_futile_takes_nothing_from_another_that_is_served() -> None:
    world = world_of("has less")
    world.queues["res:b"] = Queue({"ncpus": 2, "memgb": 1}, 30)
    world.queues["res:a"] = Queue({"ncpus": 1, "memgb": 32}, 30)
    world.go_on(2 * HOUR)
    assert world.queues["res:b"].waiting == 0
    assert world.queues["res:a"].waiting == 30


# -- the ways out


def test_when_a_new_machine_runs_some_of_it_all_is_bought_again() -> None:
    world = world_of("never joins").go_on(HOUR)
    world.lies = ()
    world.go_on(2 * HOUR)
    assert world.queues["res:a"].waiting == 0
    assert world.learnt.vain == {}


def test_when_what_it_asks_for_changes_it_is_bought_for_at_once() -> None:
    world = world_of("never joins").go_on(HOUR)
    world.lies, world.queues["res:a"].needs = (), {"ncpus": 1, "memgb": 1}
    before = len(world.launched)
    world.turn()
    assert len(world.launched) - before == FIRST


def test_when_nobody_has_asked_for_an_hour_it_is_forgotten() -> None:
    world = world_of("never joins").go_on(HOUR)
    queue = world.queues["res:a"]
    queue.waiting = 0
    world.go_on(timedelta(minutes=50))
    assert world.learnt.vain != {}
    world.go_on(timedelta(minutes=20))
    assert world.learnt.vain == {}


def test_a_clock_that_is_set_back_makes_no_pause_longer_than_it_may_be() -> None:
    world = world_of("never joins").go_on(2 * HOUR)
    world.now -= timedelta(days=300)
    world.turn()
    (vain,) = world.learnt.vain.values()
    assert vain.until <= world.now + HOUR


def test_a_machine_that_came_too_late_was_not_bought_in_vain() -> None:
    """Others have done all there was."""
    world = world_of(waiting=2)
    world.go_on(timedelta(minutes=3))
    world.queues["res:a"].waiting += 2
    world.go_on(timedelta(minutes=1))
    world.queues["res:a"].waiting = 0
    world.queues["res:a"].ended = world.now
    world.go_on(timedelta(minutes=30))
    assert len(world.launched) == 2
    assert world.learnt.vain == {}


def test_a_few_that_fail_among_many_hold_nothing_back() -> None:
    world = world_of("never joins", share=0.2, seed=3).go_on(timedelta(minutes=30))
    assert world.learnt.vain == {}
    assert world.queues["res:a"].waiting == 0


def test_half_of_them_bad_and_all_the_work_is_done() -> None:
    world = world_of(*LIES, share=0.5).go_on(4 * HOUR)
    assert world.queues["res:a"].waiting == 0


def test_what_could_not_be_had_is_no_machine_that_was_bought_in_vain() -> None:
    """It costs nothing, and the failure memory knows where there are others."""
    for aside, in_vain in (({"bucket-S2": "none to be had"}, 0), ({}, 1)):
        world = world_of("fails", waiting=2)
        world.turn()
        world.aside = aside
        world.machines[0].born -= timedelta(minutes=10)  # before the next look
        world.turn()
        assert len(world.learnt.vain) == in_vain


# -- in a pass


def test_a_pass_writes_it_down_before_it_buys_and_the_next_one_knows(world: World) -> None:
    world.listen()
    world.queues.waiting["celery"] = 2
    world.make_pass()
    assert list(recall(world.control.state).bought) == []
    world.cloud.boot()  # and nobody runs there
    world.go_on(15)
    world.make_pass()
    assert list(recall(world.control.state).bought) == ["m1"]
    for _ in range(3):
        world.go_on(100)
        plan = world.make_pass().plan
    (vain,) = recall(world.control.state).vain.values()
    assert (vain.times, vain.machines) == (1, 1)
    assert world.sight().snapshot.learnt.vain == {"celery": vain}
    assert plan is not None
    assert [launch.jobs for launch in plan.launch] == [{"celery": 1}], "one slot is tried"


def test_a_host_that_does_not_consume_what_it_was_told_to_is_hungry(world: World) -> None:
    world.listen()
    world.queues.waiting["celery"] = 2
    world.make_pass()
    (host,) = world.boot()
    host.is_deaf_to = {"join"}
    for _ in range(8):
        world.go_on(40)
        world.make_pass()
    assert host.fenced


def test_during_a_pause_nobody_is_hungry_for_what_he_was_never_told(world: World) -> None:
    world.listen()
    world.queues.waiting["celery"] = 2
    world.make_pass()
    world.boot()
    world.control.state.set_fact("paused", True)
    for _ in range(6):
        world.go_on(40)
        world.make_pass()
    assert world.sight().hungry == {}
