"""Whole passes, from growth to nothing, with another cloud than CycleCloud: the same code drives both."""

from __future__ import annotations

from autoscaler_app.passes.plan import DeleteReason
from tests.unit.autoscaler_app.passes.conftest import World


def kinds(world: World) -> list[str]:
    """The deeds of a pass, in order."""
    return [action.kind for action in world.make_pass().actions]


def test_a_fleet_grows_works_and_goes_away_again(world: World) -> None:
    world.queues.waiting["celery"] = 4
    made = world.make_pass()
    assert [(a.kind, a.target, a.ok) for a in made.actions] == [("launch", "2 x all/small", True)]
    assert kinds(world) == [], "they are coming: nothing is bought twice"

    world.go_on(60)
    hosts = world.boot()
    assert kinds(world) == ["join", "join"]
    assert [host.queues for host in hosts] == [["celery"], ["celery"]]

    world.queues.waiting["celery"] = 0
    for host in hosts:
        host.running = [f"{host.name}-1", f"{host.name}-2"]
    world.go_on(600)
    assert kinds(world) == [], "at work, however long"

    for host in hosts:
        host.running = []
    world.go_on(299)
    assert kinds(world) == [], "not for long enough"
    world.go_on(2)
    assert kinds(world) == ["fence", "fence"]
    assert kinds(world) == ["shut-down", "shut-down"]
    assert kinds(world) == [], "told, and no last word yet"
    assert world.cloud.ended == []

    assert world.last_word(hosts[0])
    assert [(a.kind, a.target, a.detail) for a in world.make_pass().actions] == [
        ("delete", "m1", DeleteReason.IDLE.value)
    ]
    assert world.last_word(hosts[1])
    assert kinds(world) == ["delete"]
    assert world.cloud.ended == ["m1", "m2"]
    assert kinds(world) == []
    assert world.control.state.drains() == {}, "nothing is remembered of them"
    assert world.control.state.known_hosts() == {}


def test_where_one_size_cannot_be_had_the_same_pass_buys_another(world: World) -> None:
    world.queues.waiting["celery"] = 4
    world.cloud.nothing_of["small"] = "sold out"
    made = world.make_pass()
    assert [(a.target, a.ok) for a in made.actions] == [("2 x all/small", False), ("1 x all/large", True)]
    assert not made.ok, "that something could not be had is said"
    assert made.plan is not None
    assert made.plan.launch[0].vm_size == "small", "the report has what was planned first"


def test_where_nothing_can_be_had_a_pass_ends_and_buys_nothing(world: World) -> None:
    world.queues.waiting["celery"] = 4
    world.cloud.nothing_of |= dict.fromkeys(("small", "large"), "sold out")
    assert [(a.target, a.ok) for a in world.make_pass().actions] == [
        ("2 x all/small", False),
        ("1 x all/large", False),
    ]
    assert kinds(world) == [], "what is set aside is not planned with"


def test_demand_that_comes_back_opens_a_host_that_was_fenced(world: World) -> None:
    world.queues.waiting["celery"] = 2
    world.make_pass()
    (host,) = world.boot()
    world.queues.waiting["celery"] = 0
    world.make_pass()
    world.go_on(301)
    assert kinds(world) == ["fence"]
    world.queues.waiting["celery"] = 2
    assert kinds(world) == ["unfence"]
    assert not host.fenced
    assert world.control.state.drains() == {}
