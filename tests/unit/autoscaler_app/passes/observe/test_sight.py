"""What is put together of many answers: what is not known is marked so, and nobody is made up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from autoscaler_app.passes.snapshot import HostSeen, QueueSeen
from celery_resources import EVICTION
from tests.unit.autoscaler_app.world import NOON, Host, World


@pytest.fixture
def node(world: World) -> Host:
    """A node that is up, with a worker that was heard, as the control worker sees it."""
    world.queues.waiting["celery"] = 2
    world.make_pass()
    (host,) = world.boot()
    world.queues.waiting["celery"] = 0
    world.make_pass()
    world.listen()
    return host


def seen(world: World) -> HostSeen:
    """The one host of a look."""
    (host,) = world.sight().snapshot.hosts
    return host


def heard(world: World, host: Host, **facts: Any) -> None:
    """An account of it comes in by itself."""
    world.hosts.seq += 1
    world.control.activity.merge({**host.account(world.hosts.seq), **facts}, world.now)


def test_what_waits_runs_and_is_held_is_counted_by_queue(world: World, node: Host) -> None:
    world.queues.waiting |= {"celery": 5}
    node.running, node.held = ["r1", "r2"], ["h1"]
    heard(world, node)
    (queue,) = world.sight().snapshot.queues
    assert (queue.queue, queue.waiting, queue.running) == ("celery", 5, 3)
    (job,) = world.sight().snapshot.jobs
    assert (job.name, job.iterations, job.executing_hostnames) == ("celery on host-m1", 3, ("host-m1",))


def test_a_queue_that_only_a_host_knows_is_counted_too(world: World, node: Host) -> None:
    world.queues.waiting["res:ncpus=4"] = 3
    node.queues = ["celery", "res:ncpus=4"]
    heard(world, node)
    queues = {queue.queue: queue for queue in world.sight().snapshot.queues}
    assert (queues["res:ncpus=4"].waiting, queues["res:ncpus=4"].constraints) == (3, {"ncpus": 4})


def test_what_is_known_of_run_times_is_in_the_picture(world: World) -> None:
    world.control.runtimes.add("celery", 12.0, world.now)
    assert world.sight().snapshot.queues == (
        QueueSeen(queue="celery", runtime_seconds=12.0, ran_seconds_ago=0.0),
    )


def test_the_task_of_a_gang_is_told_of_by_the_gang_and_not_as_a_job(world: World, node: Host) -> None:
    node.running = ["other"]
    gang = {"id": "celery/1", "members": [node.nodename, "celery@host-m2"], "role": "runs"}
    heard(world, node, gang=gang)
    assert world.sight().snapshot.jobs == ()
    assert seen(world).gang is not None
    assert seen(world).gang.hosts == ("host-m1", "host-m2")  # type: ignore[union-attr]
    heard(world, node, gang={**gang, "id": "pairs/1"})
    assert len(world.sight().snapshot.jobs) == 1, "of another queue"


# -- hosts that say nothing


def test_a_host_that_was_known_and_says_nothing_still_has_what_it_had(world: World, node: Host) -> None:
    """After a restart of ours: nobody has been heard, and nobody is idle for that."""
    node.running = ["r1"]
    heard(world, node)
    world.make_pass()
    world.control.activity.forget(node.name)
    node.is_mute = True
    host = seen(world)
    assert (host.running, host.fenced, host.heard_seconds_ago, host.queues) == (1, False, None, None)
    assert world.sight().host_of.keys() == {"m1"}


def test_it_is_silent_for_as_long_as_it_could_have_been_heard(world: World, node: Host) -> None:
    world.make_pass()
    world.control.activity.forget(node.name)
    node.is_mute = True
    world.go_on(700)
    assert seen(world).heard_seconds_ago == 700
    world.listen(since=world.now - timedelta(seconds=100))
    assert seen(world).heard_seconds_ago == 100
    world.control.listener = None
    assert seen(world).heard_seconds_ago is None


def test_a_host_whose_node_is_gone_is_not_in_the_picture(world: World, node: Host) -> None:
    world.make_pass()
    world.control.activity.forget(node.name)
    node.is_mute = True
    world.cloud.machines.clear()
    assert world.sight().snapshot.hosts == ()


def test_one_that_has_left_has_nothing_whatever_it_had(world: World, node: Host) -> None:
    node.running = ["r1"]
    heard(world, node)
    world.make_pass()
    state = world.control.state
    state.begin_drain("m1", node.name, "idle", world.now)
    state.mark_fenced("m1", world.now)
    state.mark_shut_down("m1", [node.process], world.now)
    assert world.last_word(node)
    host = seen(world)
    assert (host.stage, host.running, host.fenced) == ("left", 0, True)
    world.control.state.mark_shut_down("m1", ["another@host-m1"], world.now)
    assert (seen(world).stage, seen(world).running) == ("leaving", 1)


def test_of_two_workers_one_of_which_tells_nothing_what_runs_is_unknown_and_not_silent(
    world: World, node: Host
) -> None:
    second = Host(node.name, pid=2, worker="second")
    heard(world, second)
    world.go_on(700)
    heard(world, node)
    node.is_mute = True
    assert seen(world).heard_seconds_ago is None
    world.go_on(46)
    assert seen(world).heard_seconds_ago == 746, "now neither of them"


def test_a_worker_that_is_heard_and_never_told_all_is_silent_from_its_last_sign_of_life(
    world: World, node: Host
) -> None:
    world.control.activity.doubt()
    node.is_mute = True
    assert seen(world).heard_seconds_ago is None
    world.go_on(700)
    assert seen(world).heard_seconds_ago == 700


# -- what a host says of itself


@pytest.mark.parametrize(
    ("facts", "evicted"),
    [
        ({"fenced": True, "fence_reason": EVICTION}, True),
        ({"fenced": True, "fence_reason": "autoscaler"}, False),
        ({"fenced": False, "fence_reason": EVICTION}, False),
    ],
)
def test_one_that_was_fenced_for_its_eviction_is_evicted(
    world: World, node: Host, facts: dict[str, Any], evicted: bool
) -> None:
    heard(world, node, **facts)
    assert seen(world).evicted is evicted
    heard(world, Host(node.name, pid=2, worker="second"))
    assert seen(world).evicted is evicted, "one of its workers is enough"


def test_only_who_told_what_it_has_is_remembered(world: World, node: Host) -> None:
    node.running, node.held = ["r"], ["h"]
    heard(world, node)
    (host,) = world.sight().heard
    assert (host.node_id, host.nodenames, host.tasks) == ("m1", (node.nodename,), ("h", "r"))
    world.control.activity.doubt()
    node.is_mute = True
    assert world.sight().heard == ()


# -- what stands in the way


def test_what_stands_in_the_way_is_in_the_picture(world: World) -> None:
    world.cloud.no_ending, world.cloud.tried = "half of the nodes failed", {"small": "sold out"}
    world.control.state.set_fact("paused", True)
    snapshot = world.sight().snapshot
    assert (snapshot.hold, snapshot.set_aside, snapshot.paused) == (
        "half of the nodes failed",
        {"small": "sold out"},
        True,
    )


def test_who_does_not_listen_has_listened_since_now(world: World) -> None:
    assert world.sight().snapshot.listening_since == world.now
    world.listen(since=NOON - timedelta(hours=1))
    assert world.sight().snapshot.listening_since == NOON - timedelta(hours=1)


def test_clocks_of_nodes_that_are_gone_are_left_out(world: World, node: Host) -> None:
    assert world.sight().snapshot.history.keys() == {"m1"}
    world.cloud.machines.clear()
    assert world.sight().snapshot.history == {}


def test_workers_that_send_no_events_are_a_warning_only_to_who_listens(world: World, node: Host) -> None:
    world.go_on(46)
    heard(world, node)
    (warning,) = world.sight().warnings
    assert "no events from celery@host-m1" in warning
    world.control.listener = None
    assert world.sight().warnings == ()


def test_a_worker_on_no_node_is_named_while_nobody_is_heard_on_one(world: World) -> None:
    world.listen()
    world.queues.waiting["celery"] = 2
    world.make_pass()
    world.cloud.boot()
    world.make_pass()
    stranger = Host("lab", running=["t"])
    for number in range(5):
        world.go_on(40)
        said = {**stranger.account(number), "started": NOON.timestamp() + 5}
        world.control.activity.merge(said, world.now)
        made = world.make_pass()
    assert world.cloud.ended == []
    assert made.saw is not None
    (warning,) = [each for each in made.saw.warnings if "on no node of the cloud" in each]
    assert [each for each in made.saw.warnings if "would be ended, but lab is heard" in each], (
        "it is held back"
    )
    assert "celery@lab is heard" in warning
    assert "m1" in warning
    (kept,) = made.plan.keep  # type: ignore[union-attr]
    assert (kept.reason.value, "lab" in kept.detail) == ("held-back", True)


def test_elements_that_were_no_messages_are_told_of_the_host_that_met_them(world: World) -> None:
    for name, count in (("n1", 0), ("n2", 1), ("n3", 3)):
        world.control.activity.merge({**Host(name).account(1), "garbage": count}, world.now)
    warnings = [warning for warning in world.sight().warnings if "no messages" in warning]
    assert warnings == [
        "n2 has met 1 element of its queues that were no messages; its log has them",
        "n3 has met 3 elements of its queues that were no messages; its log has them",
    ]


def test_one_that_lives_and_tells_nothing_for_long_is_named(world: World) -> None:
    """Its node is kept for as long as it lives: it may be at work."""
    world.listen()
    world.queues.waiting["celery"] = 1
    world.make_pass()
    (host,) = world.boot()
    world.make_pass()
    host.is_mute = True

    def named(seconds: float) -> list[str]:
        world.go_on(seconds)
        beat = {"type": "worker-heartbeat", "hostname": host.nodename, "pid": 1, "timestamp": 0.0}
        world.control.activity.apply(beat, world.now)
        return [each for each in world.sight().warnings if "gives signs of life" in each]

    assert named(590) == []
    (warning,) = named(20)
    assert "host-m1" in warning
    assert world.cloud.ended == []
    host.is_mute = False
    world.make_pass()
    world.make_pass()
    assert named(1) == []
