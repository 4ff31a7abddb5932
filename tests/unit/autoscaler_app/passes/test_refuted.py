"""An estimate that was refuted is not used again: not in the next pass, and not after a restart."""

from __future__ import annotations

from autoscaler_app.cli import show
from autoscaler_app.memory.state import State
from autoscaler_app.passes.observe.learnt import forget, recall
from autoscaler_app.passes.report import Report
from autoscaler_app.passes.snapshot import Learnt
from tests.unit.autoscaler_app.world import World

BIG = "res:memgb=16:ncpus=1"


def bought(made: Report) -> int:
    return sum(launch.count for launch in made.plan.launch) if made.plan else 0


def refuted(world: World) -> Report:
    """16 GiB are promised of every machine and asked for by each of 8 tasks; 15.5 are there."""
    world.control.state.kinds.announce({BIG: {"constraints": {"memgb": 16, "ncpus": 1}}}, world.now)
    world.queues.waiting[BIG] = 8
    assert bought(world.make_pass()) == 8
    for host in world.boot():
        host.total = {"ncpus": 2, "memmb": 15872}
    world.go_on(15)
    return world.make_pass()


def test_the_pass_after_the_machines_came_up_buys_nothing_more_and_says_why(world: World) -> None:
    made = refuted(world)
    for _ in range(3):
        # `large` has not been seen: it is tried, once, and refuted as well.
        world.go_on(15)
        for host in world.boot():
            host.total = {"ncpus": host.total.get("ncpus", 8), "memmb": 15872}
        made = world.make_pass()
    assert made.plan is not None
    assert made.saw is not None
    assert bought(made) == 0
    assert [(left.reason, left.count) for left in made.plan.unserved] == [("told-less", 8)]
    assert any("told-less" in warning and "15.5" in warning for warning in made.saw.warnings)


def test_it_is_known_after_a_restart_and_shown_beside_the_promise(world: World) -> None:
    refuted(world)
    again = State(world.control.state.path)
    facts = show.buckets_of(world.cloud.cloud(), recall(again).sizes)
    again.close()
    assert facts[0]["told"] == {"memgb": {"told": 15.5, "promised": 16.0}}
    assert "memgb 15.5, not 16" in show.buckets(facts)


def test_a_person_may_have_all_of_it_forgotten(world: World) -> None:
    refuted(world)
    assert list(forget(world.control.state).sizes) == ["all/small"]
    assert recall(world.control.state) == Learnt()


def test_what_is_remembered_and_cannot_be_read_is_learnt_again(world: World) -> None:
    world.control.state.set_fact("learnt", {"sizes": {"a": "nonsense"}})
    assert recall(world.control.state) == Learnt()
