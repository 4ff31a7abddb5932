"""Passes in which somebody does not answer: a worker that hangs, a ghost, a queue that cannot be read."""

from __future__ import annotations

import pytest

from tests.unit.autoscaler_app.world import Host, World


def tells(world: World, host: Host) -> None:
    """A host tells what it has of its own accord."""
    world.hosts.seq += 1
    world.control.activity.merge(host.account(world.hosts.seq), world.now)


def one_that_is_idle(world: World) -> Host:
    """A host that has had nothing to do for long, and has just told so."""
    world.queues.waiting["celery"] = 1
    world.make_pass()
    (host,) = world.boot()
    world.listen()
    world.make_pass()
    world.queues.waiting["celery"] = 0
    world.go_on(400)
    tells(world, host)
    return host


def test_a_host_of_a_queue_that_cannot_be_read_is_kept_for_what_may_wait_there(world: World) -> None:
    world.queues.waiting["celery"] = 2
    world.make_pass()
    world.go_on(60)
    world.boot()
    world.make_pass()
    world.queues.waiting["celery"] = 0
    world.queues.unreadable.add("celery")
    world.go_on(10_000)
    made = world.make_pass()
    assert [action.kind for action in made.actions] == [], "unknown is not idle"
    assert made.saw is not None
    assert any("queue 'celery' cannot be read" in warning for warning in made.saw.warnings)
    world.queues.unreadable.clear()
    assert [action.kind for action in world.make_pass().actions] == [], (
        "the time in which it was not known does not count"
    )
    world.go_on(301)
    assert [action.kind for action in world.make_pass().actions] == ["fence"]


def test_a_worker_that_does_not_answer_is_waited_for_once_and_heard_when_it_does(world: World) -> None:
    world.queues.waiting["celery"] = 2
    world.make_pass()
    (mute,) = world.boot()
    world.listen()
    tells(world, mute)
    mute.is_mute = True
    world.hosts.asked.clear()
    world.go_on(60)
    world.make_pass()
    assert world.hosts.asked == [[mute.nodename]]
    world.go_on(60)
    world.make_pass()
    assert world.hosts.asked == [[mute.nodename]], "it costs nothing from then on"
    assert world.hosts.aside == [[mute.nodename]], "and is asked all the same"

    mute.is_mute = False
    world.go_on(60)
    world.make_pass()
    world.go_on(60)
    world.make_pass()
    assert [mute.nodename] in world.hosts.asked[1:], "it has answered: it is waited for again"


def test_a_ghost_costs_no_pass_anything_and_is_heard_when_it_speaks(world: World) -> None:
    world.listen()
    ghost = Host("nowhere", running=["t1"])
    tells(world, ghost)
    for number in (1, 2):
        world.go_on(60)
        world.make_pass()
        assert (world.hosts.asked, world.hosts.aside) == ([], [[ghost.nodename]] * number)
    world.hosts.of["nowhere"] = ghost
    world.go_on(60)
    world.make_pass()
    (view,) = world.control.activity.hosts()
    assert view.told == world.now


def test_before_a_gone_node_s_tasks_are_given_back_whoever_may_have_them_by_now_is_waited_for(
    world: World,
) -> None:
    """It is on no node, and has taken up what the gone one was evicted from: only its answer says so."""
    world.queues.waiting["celery"] = 2
    world.make_pass()
    (host,) = world.boot()
    host.running = ["t1"]
    world.listen()
    tells(world, host)
    other = Host("nowhere")
    tells(world, other)
    world.make_pass()
    other.running, host.is_mute = ["t1"], True
    world.hosts.of["nowhere"] = other
    world.cloud.machines.clear()
    world.hosts.asked.clear()
    world.go_on(60)
    world.make_pass()
    assert world.hosts.asked == [sorted([host.nodename, other.nodename])]
    assert world.hosts.aside == []
    assert world.queues.given_back == []


def test_a_name_of_which_one_process_is_on_a_node_is_waited_for(world: World) -> None:
    world.queues.waiting["celery"] = 2
    world.make_pass()
    (host,) = world.boot()
    world.listen()
    for pid, machine in ((1, host.name), (2, "other")):
        world.hosts.seq += 1
        said = {**Host("elsewhere", pid=pid).account(world.hosts.seq), "machine": {"host": machine}}
        world.control.activity.merge(said, world.now)
    world.hosts.asked.clear()
    world.go_on(60)
    world.make_pass()
    assert (world.hosts.asked[0], world.hosts.aside) == (["celery@elsewhere"], [])


@pytest.mark.parametrize("told", ["on its way out", "had no task"])
def test_a_worker_of_a_node_that_is_not_listed_is_no_ghost(world: World, told: str) -> None:
    world.queues.waiting["celery"] = 2
    world.make_pass()
    (host,) = world.boot()
    world.listen()
    tells(world, host)
    world.queues.waiting["celery"] = 0
    world.make_pass()
    assert world.control.state.known_hosts().keys() == {"m1"}
    if told == "on its way out":
        world.control.state.forget_nodes({"m1"})
        world.control.state.begin_drain("m1", host.name, "idle", world.now)
    world.cloud.machines.clear()
    world.hosts.asked.clear()
    world.go_on(60)
    world.make_pass()
    assert world.hosts.asked == [[host.nodename]]


@pytest.mark.parametrize("waiting", [0, 2], ids=["to be fenced", "to be told its queues"])
def test_a_worker_that_hangs_costs_one_pass_its_patience_whatever_it_is_to_be_told(
    world: World, waiting: int
) -> None:
    """It told a moment ago, so it counts as heard: what it is told now it does not answer."""
    hangs = one_that_is_idle(world)
    hangs.is_mute, world.queues.waiting["celery"] = True, waiting
    if waiting:
        world.control.state.kinds.announce({"res:ncpus=2": {"constraints": {"ncpus": 2}}}, world.now)
    world.hosts.asked.clear()
    for _ in range(4):
        world.go_on(10)
        made = world.make_pass()
        assert any(not action.ok for action in made.actions), "it is told, again and again"
    assert world.hosts.asked == [[hangs.nodename]], "and waited for once"
    assert len(world.hosts.aside) >= 3


def test_a_fence_that_is_answered_after_the_pass_is_seen_by_the_next_one(world: World) -> None:
    slow = one_that_is_idle(world)
    slow.is_mute = True
    world.make_pass()
    slow.fenced, slow.is_mute = True, False
    world.go_on(5)
    world.make_pass()
    (drain,) = world.control.state.drains().values()
    assert drain.fenced == world.now
    assert slow.told.count("fence") == 0, "the first command was heard, though its answer came late"
    assert slow.told[-1] == "shutdown"
