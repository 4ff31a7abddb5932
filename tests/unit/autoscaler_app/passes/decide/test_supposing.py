"""What would be planned: the very decision of a pass, from a snapshot in which other work waits."""

from __future__ import annotations

import msgspec
import pytest

from autoscaler_app.passes.decide.decision import decide
from autoscaler_app.passes.decide.supposing import outcome, supposed
from autoscaler_app.passes.snapshot import Snapshot
from celery_resources import Requirement
from scalelib.errors import InvalidInput
from tests.unit.autoscaler_app.world import World


@pytest.fixture
def at_work(world: World) -> World:
    """Two tasks run on one small machine (two slots); they take 100 s, and a machine takes 60 s to boot."""
    world.queues.waiting["celery"] = 2
    world.make_pass()
    world.make_pass()
    world.go_on(60)
    (host,) = world.boot()
    world.queues.waiting["celery"] = 0
    host.running = ["one", "two"]
    world.control.runtimes.add("celery", 100.0, world.now)
    world.make_pass()
    return world


def snapshot(world: World) -> Snapshot:
    return world.sight().snapshot


def test_with_nothing_else_it_is_what_a_pass_would_plan(at_work: World) -> None:
    seen = snapshot(at_work)
    then, plan = outcome(supposed(seen, {})), decide(seen).plan
    assert (then.launch, then.unserved) == (plan.launch, plan.unserved) == ((), ())
    assert (then.nodes_now, then.nodes_then, then.price_now, then.price_then) == (1, 1, 1.0, 1.0)


def test_a_backlog_says_what_is_launched_what_it_costs_and_when_it_is_done(at_work: World) -> None:
    seen = snapshot(at_work)
    then = outcome(supposed(seen, {"celery": 12}))
    as_a_pass = decide(msgspec.structs.replace(seen, queues=supposed(seen, {"celery": 12}).queues)).plan
    assert then.launch == as_a_pass.launch != ()
    coming = sum(launch.jobs["celery"] for launch in then.launch)
    (queue,) = then.queues
    assert (queue.waiting, queue.slots, queue.unserved, queue.run_seconds) == (12, 2 + coming, 0, 100.0)
    assert queue.done_seconds == -(-12 // (2 + coming)) * 100 + 60
    bought = sum(launch.price_per_hour for launch in then.launch)
    assert then.price_then == pytest.approx(1.0 + bought)
    assert then.nodes_then == 1 + sum(launch.count for launch in then.launch)


def test_work_that_nobody_has_sent_yet_is_described_by_what_it_needs(at_work: World) -> None:
    then = outcome(supposed(snapshot(at_work), {Requirement({"ncpus": 8}): 1, "res:ncpus=1000": 3}))
    assert [(launch.vm_size, launch.count) for launch in then.launch] == [("large", 1)]
    (never,) = then.unserved
    assert (never.job, never.count) == ("res:ncpus=1000", 3)
    assert [(queue.run_seconds, queue.done_seconds) for queue in then.queues] == [(None, None)] * 2


def test_the_same_need_as_that_of_a_known_queue_is_that_queue(at_work: World) -> None:
    at_work.control.state.kinds.announce({"res:ncpus=2": {"constraints": {"ncpus": 2}}}, at_work.now)
    then = supposed(snapshot(at_work), {Requirement({"ncpus": 2}): 7})
    assert [(q.queue, q.waiting) for q in then.queues] == [("celery", 0), ("res:ncpus=2", 7)]


def test_all_that_is_said_of_the_need_is_asked_for(at_work: World) -> None:
    seen = snapshot(at_work)
    gang = Requirement({"ncpus": 2}, node_count=2, exclusive=True)
    (queue,) = [queue for queue in supposed(seen, {gang: 3}).queues if queue.waiting]
    assert (queue.waiting, queue.node_count, queue.colocated, queue.exclusive) == (3, 2, False, True)
    assert dict(queue.constraints) == {"ncpus": 2}
    beside = Requirement({"ncpus": 2}, node_count=2, colocated=True)
    (queue,) = [queue for queue in supposed(seen, {beside: 1}).queues if queue.waiting]
    assert (queue.colocated, queue.exclusive) == (True, False)


def test_what_holds_the_plan_back_is_said_with_it(at_work: World) -> None:
    seen = msgspec.structs.replace(snapshot(at_work), paused=True)
    assert outcome(seen).warnings == decide(seen).plan.warnings != ()


def test_a_machine_on_its_way_out_is_no_node_that_is_there(at_work: World) -> None:
    (machine,) = at_work.cloud.machines.values()
    machine.wanted = False
    assert outcome(snapshot(at_work)).nodes_now == 0


def test_another_idle_timeout_says_who_would_go(at_work: World) -> None:
    (host,) = at_work.hosts.of.values()
    host.running = []
    at_work.go_on(61)
    at_work.make_pass()
    seen = snapshot(at_work)
    assert outcome(supposed(seen, {})).going == ()
    assert outcome(supposed(seen, {}, idle_timeout=60)).going == ("m1",)


def test_a_queue_that_is_not_known_is_an_error_that_helps(at_work: World) -> None:
    with pytest.raises(InvalidInput, match="no queue 'celry' is known; did you mean celery"):
        supposed(snapshot(at_work), {"celry": 1})
    with pytest.raises(InvalidInput, match="known are: celery"):
        supposed(snapshot(at_work), {"zzz": 1})
