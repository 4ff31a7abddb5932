"""A first few nodes are asked for, and all when it is known how long tasks run, or that takes too long."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from autoscaler_app.passes.decide.decision import decide
from autoscaler_app.passes.decide.worth.learning import is_worth_waiting
from autoscaler_app.passes.snapshot import QueueSeen, Snapshot
from tests.unit.autoscaler_app.conftest import LONG_AGO, NOW, host, node, times
from tests.unit.autoscaler_app.passes.decide.test_capacity import job
from tests.unit.autoscaler_app.world import World

Make = Callable[..., Snapshot]


@pytest.mark.parametrize(
    ("untimed", "running", "on_its_way", "boot", "waits", "why"),
    [
        (0, [], False, 60, False, "what is seen first is asked for"),
        (4, [], True, 60, False, "what comes right after it too: to wait for a boot would cost one"),
        (6, [], True, 60, True, "what comes later waits for the rest of a boot"),
        (6, [], True, 0, True, "however long that is"),
        (119, [], True, 60, True, "the boot takes a little longer"),
        (120, [], True, 60, False, "it takes twice as long"),
        (299, [], True, 0, True, "nobody knows how long one takes"),
        (300, [], True, 0, False, "the target is over"),
        (6, [], False, 60, False, "nobody will tell"),
        (70, [4.9], False, 60, True, "it runs: its end is near"),
        (70, [5.0], False, 60, False, "it is no short one"),
        (70, [1.0, 5.0], True, 60, False, "one of them is none"),
        (1, [0.5], False, 3, True, "the cluster runs it already"),
        (3, [3.5], False, 3, False, "for longer than a boot nobody waits"),
    ],
)
def test_it_waits_where_that_costs_less_than_a_boot(
    untimed: float, running: list[float], on_its_way: bool, boot: float, waits: bool, why: str
) -> None:
    found = is_worth_waiting(
        untimed=timedelta(seconds=untimed),
        running=[timedelta(seconds=each) for each in running],
        is_on_its_way=on_its_way,
        boot_time=timedelta(seconds=boot),
        longest=timedelta(seconds=300),
    )
    assert found is waits, why


def launched(seen: Snapshot) -> int:
    return sum(launch.jobs.get("celery", 0) for launch in decide(seen).plan.launch)


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        pytest.param({}, 0, id="it is on its way"),
        pytest.param({"queue": {"runtime_seconds": 400.0}}, 8, id="the run time is known"),
        pytest.param({"queue": {"untimed_seconds": None}}, 8, id="since when is not noted"),
        pytest.param({"autoscaler": {"estimate_run_times": False}}, 8, id="switched off"),
        pytest.param({"node": {"Status": "Failed", "State": "Failed"}}, 10, id="it failed"),
        pytest.param({"meant": {}}, 8, id="it is not for this queue"),
    ],
)
def test_while_it_learns_no_more_is_asked_for_than_was(
    snapshot: Make, changes: dict[str, Any], more: int
) -> None:
    queue = {"waiting": 10, "untimed_seconds": 20.0, **changes.pop("queue", {})}
    booting = {"Status": "Preparing", "Hostname": None, **changes.pop("node", {})}
    seen = snapshot(
        **{
            "nodes": [node(1, **booting)],
            "history": {"id-1": times(created=NOW - timedelta(seconds=20), ready=None)},
            "queues": [QueueSeen(queue="celery", **queue)],
            "meant": {"id-1": {"celery": 2}},
            **changes,
        }
    )
    assert launched(seen) == more
    assert ["no more is asked for" in each for each in decide(seen).plan.warnings] == [True] * (not more)


def test_what_runs_on_a_host_that_takes_no_more_teaches_nothing_soon(snapshot: Make) -> None:
    for fenced, more in ((False, 0), (True, 3)):
        seen = snapshot(
            nodes=[node(1)],
            hosts=[host(1, total={"ncpus": 1, "memgb": 4}, running=1, fenced=fenced)],
            history={"id-1": times(created=LONG_AGO)},
            jobs=[job(1, 1.0)],
            queues=[QueueSeen(queue="celery", waiting=3, untimed_seconds=10.0)],
        )
        assert launched(seen) == more


def steady(world: World, seconds: float, boot: int) -> int:
    """A task a second, each of so many seconds, from nothing; how many cpus were bought in two minutes."""
    world.listen()
    ready, done, work = 0, 0.0, 0.0
    for second in range(120):
        world.go_on(1.0)
        ready += 1
        if second >= boot:
            up = world.boot()
            work += sum(2 for _ in up) / seconds if up else 0.0
            while ready and done + 1 <= work:
                ready, done = ready - 1, done + 1
                world.control.runtimes.add("celery", seconds, world.now)
        world.queues.waiting["celery"] = ready
        if second % 15 == 0:
            world.make_pass()
    cores = {"small": 2, "large": 8}
    return sum(cores[machine.size] for machine in world.cloud.machines.values())


def test_a_steady_load_of_short_tasks_buys_what_it_needs_and_nothing_for_the_first_boot(world: World) -> None:
    assert steady(world, 0.5, boot=40) == 2


def test_since_when_it_is_so_is_remembered_and_over_when_it_is_known(world: World) -> None:
    world.queues.waiting["celery"] = 1
    world.make_pass()
    world.go_on(20)

    def untimed() -> float | None:
        (queue,) = world.sight().snapshot.queues
        return queue.untimed_seconds

    assert untimed() == 20.0
    world.control.runtimes.add("celery", 3.0, world.now)
    assert untimed() is None
    world.make_pass()
    assert world.control.state.fact("untimed") == {}
