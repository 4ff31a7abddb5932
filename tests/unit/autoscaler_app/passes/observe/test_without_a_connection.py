"""Of whom it is known that they are gone if the broker shows no connection of theirs."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

import pytest

from autoscaler_app.listening.activity import Activity
from autoscaler_app.passes.observe import asking
from autoscaler_app.passes.observe.strays import Strays
from tests.unit.autoscaler_app.world import NOON, Host, World


def unheard(world: World, *on_nodes: str) -> frozenset[str]:
    return asking._unheard(world.control, list(world.control.activity.hosts()), on_nodes)


def test_one_that_names_its_connection_and_was_not_heard_for_a_while(world: World) -> None:
    world.listen(NOON)
    for name, named in (("tells", True), ("names", True), ("plain", False)):
        world.control.activity.merge(Host(name, named=named).account(1), world.now)
    world.go_on(asking.RECONNECTS_WITHIN.total_seconds())
    world.control.activity.merge(Host("tells", named=True).account(2), world.now)
    assert unheard(world) == set(), "it may be connecting again"
    world.go_on(1)
    assert unheard(world) == {"celery@names"}
    world.listen(world.now - timedelta(seconds=1))
    assert unheard(world) == set(), "nobody listened"


def test_a_restart_of_the_control_worker_forgets_nobody(world: World) -> None:
    world.queues.waiting["celery"] = 2
    world.make_pass()
    (host,) = world.boot()
    host.named = True
    world.make_pass()
    world.control.activity = Activity()
    host.is_mute = True
    for _ in range(2):
        world.listen(world.now)
        world.go_on(60)
        world.make_pass()
    assert unheard(world) == {host.nodename}


def test_not_one_of_a_node_of_whom_no_account_was_heard_since_we_began(world: World) -> None:
    """It may be cut off from the broker, and run what it took while nobody listened."""
    world.listen(NOON)
    world.control.state.set_fact(asking.NAMED, ["celery@before"])
    world.control.activity.merge(Host("now", named=True).account(1), world.now)
    world.go_on(61)
    nodenames = ["celery@before", "celery@now", "celery@never"]
    assert unheard(world, *nodenames) == {"celery@now"}
    assert unheard(world) == {"celery@now", "celery@before"}, "on no node, nothing ends it"


def test_a_node_that_is_up_and_was_never_heard_may_have_what_nobody_has(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it joins or is ended: one that began while we were down may be cut off from the broker."""
    asked: list[set[str]] = []

    def find(control: object, hosts: object, on_nodes: Collection[str]) -> Strays:
        asked.append(set(on_nodes))
        return Strays()

    monkeypatch.setattr(asking, "find_strays", find)
    world.queues.waiting["celery"] = 2
    world.make_pass()
    world.cloud.boot()
    world.make_pass()
    assert asked == [set(), {"celery@host-m1"}]
    cloud = world.cloud.cloud()
    (host,) = world.boot()
    world.make_pass()
    assert list(asking._not_joined(world.control.state.known_hosts(), {}, cloud)) == []
    world.make_pass()
    assert asked[-1] == {host.nodename}


def test_of_two_processes_of_one_name_both_have_to_be_silent(world: World) -> None:
    world.listen(NOON)
    world.control.activity.merge(Host("n", named=True, pid=1).account(1), world.now)
    world.go_on(60)
    world.control.activity.merge(Host("n", named=True, pid=2).account(1), world.now)
    assert unheard(world) == set()
