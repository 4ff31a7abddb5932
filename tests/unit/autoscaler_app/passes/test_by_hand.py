"""What people ask for by hand is carried out by passes, outlives them, and is told of."""

from __future__ import annotations

from datetime import timedelta

import pytest

from autoscaler_app.cli import show
from autoscaler_app.memory import orders
from autoscaler_app.memory.orders import Create, NodeOrder, Pause, What
from autoscaler_app.passes.observe.learnt import recall
from autoscaler_app.passes.plan import KeepReason
from tests.unit.autoscaler_app.world import Host, World

WHY = "ann: the disk is looked at"


@pytest.fixture
def host(world: World) -> Host:
    """One node that is up and takes work."""
    world.queues.waiting["celery"] = 2
    world.make_pass()
    (host,) = world.boot()
    world.queues.waiting["celery"] = 0
    world.make_pass()
    return host


def ask(world: World, what: What, seconds: float | None = None, name: str = "m1") -> None:
    until = None if seconds is None else world.now + timedelta(seconds=seconds)
    order = NodeOrder(what=what, node=name, who="ann", why="the disk is looked at", at=world.now, until=until)
    orders.change_nodes(world.control.state, lambda before: before | {name: order})


def let_go_on(world: World) -> None:
    state = world.control.state
    before = orders.nodes_from(state.fact(orders.NODES))["m1"]
    ask(world, before.what, 0)


def deeds(world: World) -> list[tuple[str, bool]]:
    return [(action.kind, action.ok) for action in world.make_pass().actions]


def kept(world: World) -> tuple[KeepReason, str]:
    made = world.make_pass()
    assert made.plan is not None
    (entry,) = made.plan.keep
    return entry.reason, entry.detail


def test_a_node_on_hold_takes_nothing_is_kept_for_as_long_as_that_and_then_serves_again(
    world: World, host: Host
) -> None:
    ask(world, "hold", 7200)
    (deed,) = world.make_pass().actions
    assert (deed.kind, deed.detail) == ("fence", f"on-hold: ann until 2026-11-22 14:00:00Z: {WHY[5:]}")
    assert world.control.state.drains() == {}, "it is not on its way out"
    for _ in range(3):
        world.go_on(2000)
        assert kept(world) == (KeepReason.ON_HOLD, f"held by ann until 2026-11-22 14:00:00Z: {WHY[5:]}")
    assert (host.told[-1], host.fenced) == ("fence", True)
    world.go_on(1300)
    assert deeds(world) == [("unfence", True)]
    world.go_on(1)
    assert kept(world)[0] is KeepReason.IDLE, "its idle time begins anew"
    assert world.control.state.fact(orders.NODES) == {}


def test_work_that_waits_gets_another_node_than_the_one_on_hold(world: World, host: Host) -> None:
    ask(world, "hold")
    world.make_pass()
    world.queues.waiting["celery"] = 2
    plan = world.plan()
    assert (sum(launch.count for launch in plan.launch), plan.unfence) == (1, ())
    world.make_pass()
    learnt = recall(world.control.state)
    assert (learnt.vain, [each.fell for each in learnt.bought.values()]) == ({}, [False]), (
        "it is none that fell"
    )


def test_a_node_that_is_drained_by_hand_goes_with_its_certificate_whatever_waits(
    world: World, host: Host
) -> None:
    ask(world, "drain")
    host.running = ["t1"]
    world.make_pass()
    world.queues.waiting["celery"] = 2
    assert kept_of(world, "m1")[0] is KeepReason.DRAINING
    assert world.cloud.ended == []
    host.running = []
    (told,) = (action for action in world.make_pass().actions if action.kind == "shut-down")
    assert told.detail == f"by-hand: {WHY}"
    assert world.last_word(host)
    world.make_pass()
    assert world.cloud.ended == ["m1"]


def kept_of(world: World, name: str) -> tuple[KeepReason, str]:
    made = world.make_pass()
    assert made.plan is not None
    (entry,) = (entry for entry in made.plan.keep if entry.node == name)
    return entry.reason, entry.detail


def test_a_drain_that_is_called_off_ends_and_the_node_serves_for_its_whole_idle_time(
    world: World, host: Host
) -> None:
    world.go_on(250)
    ask(world, "drain")
    host.running = ["t1"]
    world.make_pass()
    world.go_on(200)
    let_go_on(world)
    host.running = []
    assert deeds(world) == [("unfence", True)]
    assert world.control.state.drains() == {}
    world.go_on(200)
    assert kept(world)[0] is KeepReason.IDLE


def test_once_its_workers_were_told_to_end_there_is_no_way_back(world: World, host: Host) -> None:
    ask(world, "drain")
    world.make_pass()
    assert deeds(world) == [("shut-down", True)]
    let_go_on(world)
    assert ("unfence", True) not in deeds(world)


def test_what_is_to_end_at_once_is_ended_with_what_it_runs(world: World, host: Host) -> None:
    host.running = ["t1"]
    world.make_pass()
    ask(world, "delete")
    (deed,) = (action for action in world.make_pass().actions if action.kind == "delete")
    assert (deed.target, deed.detail) == ("m1", f"now: {WHY}")
    assert world.cloud.ended == ["m1"]
    del world.hosts.of[host.name]
    world.go_on(30)
    world.make_pass()
    assert world.queues.given_back == ["t1"]
    assert world.control.state.fact(orders.NODES) == {}, "what was asked of a node that is gone is forgotten"


def test_an_open_circuit_breaker_holds_a_person_back_too(world: World, host: Host) -> None:
    world.cloud.no_ending = "half of the nodes failed"
    ask(world, "delete")
    assert kept(world)[0] is KeepReason.HELD_BACK
    world.cloud.no_ending = ""
    world.make_pass()
    assert world.cloud.ended == ["m1"]


def test_during_a_pause_people_still_get_what_they_ask_for(world: World, host: Host) -> None:
    orders.change_pauses(world.control.state, lambda _: [Pause(who="ann")])
    world.go_on(400)
    assert kept(world)[0] is KeepReason.PAUSED
    ask(world, "drain")
    assert deeds(world) == [("fence", True)]
    let_go_on(world)
    assert deeds(world) == [("unfence", True)]
    ask(world, "delete")
    assert deeds(world) == [("delete", True)]


def test_a_pause_ends_by_itself_and_is_forgotten(world: World) -> None:
    world.queues.waiting["celery"] = 2
    until = world.now + timedelta(seconds=60)
    orders.change_pauses(world.control.state, lambda _: [Pause(who="ann", why="upgrade", until=until)])
    made = world.make_pass()
    assert made.saw is not None
    assert made.saw.warnings == (
        "paused: nothing is launched, fenced or ended (ann until 2026-11-22 12:01:00Z: upgrade); "
        "`autoscaler resume` ends that",
    )
    assert world.cloud.machines == {}
    world.go_on(60)
    world.make_pass()
    assert world.cloud.machines
    assert world.control.state.fact(orders.PAUSES) == []


def test_a_pause_that_an_older_version_wrote_is_one(world: World) -> None:
    world.control.state.set_fact("paused", True)
    world.queues.waiting["celery"] = 2
    world.make_pass()
    assert world.cloud.machines == {}
    assert orders.is_paused(world.control.state, world.now)


def want(world: World, count: int = 3) -> None:
    wish = {"nodearray": "all", "vm_size": "small", "count": count}
    create = Create(id="c1", **wish, who="ann", why="a demo", at=world.now)  # type: ignore[arg-type]
    orders.add_create(world.control.state, create)


def test_nodes_that_a_person_wants_are_launched_once_also_during_a_pause(world: World) -> None:
    orders.change_pauses(world.control.state, lambda _: [Pause(who="ann")])
    want(world)
    assert "create   3 x all/small  (3.000/h)  by ann: a demo" in show.plan(world.plan())
    (deed,) = world.make_pass().actions
    assert (deed.kind, deed.ok, deed.detail) == ("launch", True, "3 added, by ann: a demo")
    world.make_pass()
    assert sorted(world.cloud.machines) == ["m1", "m2", "m3"]
    (story,) = world.control.stories.named("m1")
    assert story.moments[0].why == "by ann: a demo"


def test_a_pass_that_dies_after_the_launch_is_followed_by_one_that_launches_no_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    want(world)
    with monkeypatch.context() as patched:
        patched.setattr(orders, "created", dies)
        with pytest.raises(KeyboardInterrupt):
            world.make_pass()
    assert len(world.cloud.machines) == 3
    world.make_pass()
    assert len(world.cloud.machines) == 3
    assert world.control.state.fact(orders.CREATE) == []


def test_what_the_cloud_has_not_is_told_and_not_asked_for_again(world: World) -> None:
    world.cloud.nothing_of["small"] = "sold out"
    want(world)
    (deed,) = world.make_pass().actions
    assert (deed.ok, deed.detail) == (False, "0 added: sold out, by ann: a demo")
    assert world.make_pass().actions == ()


def test_nodes_that_a_person_wanted_are_room_for_work_and_go_when_they_are_idle(world: World) -> None:
    want(world, 1)
    world.make_pass()
    world.queues.waiting["celery"] = 2
    assert world.plan().launch == ()
    world.queues.waiting["celery"] = 0
    world.boot()
    world.make_pass()
    world.go_on(301)
    assert deeds(world) == [("fence", True)]


def test_a_node_whose_worker_did_not_hear_that_it_serves_again_is_told_until_it_has(
    world: World, host: Host
) -> None:
    ask(world, "hold")
    world.make_pass()
    let_go_on(world)
    host.is_deaf_to.add("unfence")
    assert [deeds(world), deeds(world)] == [[("unfence", False)]] * 2
    host.is_deaf_to.clear()
    assert deeds(world) == [("unfence", True)]


def test_a_node_that_is_none_of_ours_or_goes_already_is_not_touched(world: World, host: Host) -> None:
    ask(world, "delete")
    world.cloud.machines["m1"].managed = False
    assert kept(world)[0] is KeepReason.UNMANAGED
    world.cloud.machines["m1"].managed, world.cloud.machines["m1"].wanted = True, False
    assert kept(world)[0] is KeepReason.LEAVING
