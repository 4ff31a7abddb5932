"""Every task that waits has a reason that the last pass knew, and the reasons add up to what waits."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from autoscaler_app.passes.decide.explaining import Explanation, Wait, explain
from autoscaler_app.passes.plan import GangOrder, kept_for
from autoscaler_app.passes.report import Report
from tests.unit.autoscaler_app.world import World

DOCS = Path(__file__).parents[5] / "docs" / "runbook.md"


def told(made: Report, queue: str = "celery", run: float | None = 10.0, **how: Any) -> Explanation:
    return explain(made, queue, run_seconds=run, boot_seconds=60.0, **how)


def waits(found: Explanation) -> list[tuple[Wait, int]]:
    return [(why.wait, why.count) for why in found.why]


def test_from_the_first_task_to_the_last_it_says_what_they_wait_for(world: World) -> None:
    assert waits(told(world.make_pass())) == [(Wait.NOTHING, 0)]
    world.queues.waiting["celery"] = 4
    asked = told(world.make_pass())
    assert waits(asked) == [(Wait.LAUNCH, 4)]
    assert "all/small" in asked.why[0].sentence
    assert "about 60 s to boot" in asked.why[0].sentence
    assert asked.done_seconds == 70
    boots = told(world.make_pass())
    assert waits(boots) == [(Wait.BOOT, 4)]
    assert "m1, m2" in boots.why[0].sentence
    assert boots.done_seconds == 70
    world.go_on(60)
    world.boot()
    up = told(world.make_pass())
    assert waits(up) == [(Wait.ROOM, 4)]
    assert up.done_seconds == 10


def test_work_without_a_place_says_the_reason_of_the_plan(world: World) -> None:
    world.queues.waiting["celery"] = 10_000
    made = world.make_pass()
    assert made.plan is not None
    found = told(made, run=None)
    (unserved,) = [why for why in found.why if why.wait is Wait.UNSERVED]
    (entry,) = made.plan.unserved
    assert unserved.sentence == f"{entry.reason}: {entry.detail}"
    assert sum(why.count for why in found.why) == 10_000
    assert told(made).done_seconds is None, "some of it is never done"


def test_what_no_machine_is_worth_comes_after_others(world: World) -> None:
    world.control.runtimes.add("celery", 1.0, world.now)
    world.queues.waiting["celery"] = 4
    world.make_pass()
    world.go_on(60)
    for host in world.boot():
        host.running = [f"{host.name}-1", f"{host.name}-2"]
    world.queues.waiting["celery"] = 30
    found = told(world.make_pass(), run=1.0)
    assert [wait for wait, _ in waits(found)][-1] is Wait.TURN
    assert sum(why.count for why in found.why) == 30
    assert found.done_seconds is not None


def test_a_gang_that_is_being_reserved_is_said_of_its_own_queue_only(world: World) -> None:
    world.queues.waiting["celery"] = 4
    made = world.make_pass()
    assert made.plan is not None

    def of(queue: str) -> list[Wait]:
        order = GangOrder(order="form", gang="", queue=queue, hosts=("a", "b"), reason="both are empty")
        planned = msgspec.structs.replace(made.plan, gangs=(order,))
        return [wait for wait, _ in waits(told(msgspec.structs.replace(made, plan=planned)))]

    assert of("celery")[0] is Wait.GANG
    assert Wait.GANG not in of("another")


def test_those_for_whom_nothing_is_planned_learn_whether_the_first_are_to_tell(world: World) -> None:
    world.queues.waiting["celery"] = 4
    made = world.make_pass()
    assert made.plan is not None
    learning = "4 of celery wait until the first tasks have told how long they take"
    nothing = msgspec.structs.replace(made.plan, launch=())
    learns = msgspec.structs.replace(made, plan=msgspec.structs.replace(nothing, warnings=(learning,)))
    assert waits(told(learns, run=None)) == [(Wait.LEARNING, 4)]
    assert waits(told(learns)) == [(Wait.UNKNOWN, 4)], "they have told"
    assert waits(told(msgspec.structs.replace(made, plan=nothing), run=None)) == [(Wait.UNKNOWN, 4)]


def test_paused_and_failed_passes_say_so(world: World) -> None:
    world.queues.waiting["celery"] = 4
    made = world.make_pass()
    assert waits(told(made, paused=True)) == [(Wait.PAUSED, 4)]
    failed = msgspec.structs.replace(made, saw=None, plan=None, error="the cloud is away")
    assert told(failed).why[0].sentence == "pass 1 failed: the cloud is away"
    half = msgspec.structs.replace(made, plan=None, error="the cloud is away")
    assert waits(told(half)) == [(Wait.UNKNOWN, 4)]
    with pytest.raises(LookupError):
        told(made, "nobody-knows")


def test_in_random_worlds_the_reasons_add_up_to_what_waits(world: World) -> None:
    dice = random.Random(5)
    for _ in range(60):
        world.queues.waiting["celery"] = dice.choice([0, 1, 3, 17, 500])
        if dice.random() < 0.4:
            for host in world.boot():
                host.running = [f"{host.name}-{i}" for i in range(dice.randint(0, 2))]
        world.go_on(dice.choice([1, 20, 400]))
        made = world.make_pass()
        run = dice.choice([None, 0.5, 700.0])
        found = told(made, run=run)
        assert made.plan is not None
        kept = kept_for(made.plan).get("celery", ())
        assert told(made, run=run, kept=kept) == found, "whoever asks of many queues is told the same"
        assert sum(why.count for why in found.why) == found.waiting, (made.plan, found)
        assert all(why.sentence for why in found.why)


def test_the_list_of_waits_is_that_of_the_docs() -> None:
    text = DOCS.read_text()
    assert [wait.value for wait in Wait if f"\n| `{wait.value}` | " not in text] == []
