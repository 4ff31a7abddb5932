"""A pass costs each node the same, however many there are: counted in calls, so that no clock has a say."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from autoscaler_app.passes.observe import asking
from tests.machines import CORES, Machine
from tests.unit.autoscaler_app.world import Host, World, a_world


def calls(work: Callable[[], object]) -> int:
    """Functions that this calls; a generator that goes on is called each time."""
    count = 0

    def one_more(frame: FrameType, event: str, _: Any) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(one_more)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def grow(world: World, nodes: int) -> None:
    """Until there are so many: of two sizes, nine in ten of them at work."""
    for number in range(len(world.cloud.machines), nodes):
        machine = Machine(f"m{number}", ("small", "large")[number % 2], "Ready", f"host-m{number}")
        world.cloud.machines[machine.id] = machine
        host = Host(machine.hostname, queues=["celery"], total={"ncpus": CORES[machine.size]})
        host.running = [f"{machine.id}-{task}" for task in range(2)] if number % 10 else []
        world.hosts.of[host.name] = host


def test_a_pass_costs_each_node_the_same_however_many_there_are(world: World) -> None:
    world.queues.waiting = {"celery": 100}
    counted = {}
    for nodes in (50, 100, 200):
        grow(world, nodes)
        world.make_pass()  # they are new, and are told what to do
        world.go_on(20)
        counted[nodes] = calls(world.make_pass)
        world.go_on(20)
    first, later = (counted[100] - counted[50]) / 50, (counted[200] - counted[100]) / 100
    assert later < 1.1 * first, (first, later)
    assert later < 700, later


# What happens to all of them at once.


def all_are_idle_and_fenced(world: World) -> Callable[[], object]:
    world.queues.waiting = {}
    for host in world.hosts.of.values():
        host.running = []
    world.make_pass()
    world.go_on(400)
    return world.make_pass


def all_are_gone(world: World) -> Callable[[], object]:
    world.cloud.machines.clear()
    world.hosts.of.clear()
    world.go_on(20)
    return world.make_pass


def half_are_silent_and_half_are_heard(world: World) -> Callable[[], object]:
    world.listen()
    world.go_on(700)
    for number, host in enumerate(world.hosts.of.values()):
        host.pid += 1
        if number % 2:
            host.is_mute = True
        else:
            world.control.activity.merge({**host.account(1), "started": 1.0}, world.now)
    return world.make_pass


def some_messages_are_claimed_by_nobody(world: World) -> Callable[[], object]:
    """Every worker is looked at then, and whether it has a connection."""
    world.listen()
    for host in world.hosts.of.values():
        host.named = True
        world.control.activity.merge(host.account(2), world.now)
    world.go_on(60)
    hosts = world.control.activity.hosts()
    names = [host.nodename for host in world.hosts.of.values()]
    return lambda: asking._unheard(world.control, hosts, names)


@pytest.mark.parametrize(
    "happens",
    [
        all_are_idle_and_fenced,
        all_are_gone,
        half_are_silent_and_half_are_heard,
        some_messages_are_claimed_by_nobody,
    ],
)
def test_so_does_what_happens_to_all_of_them_at_once(
    happens: Callable[[World], Callable[[], object]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = {}
    for nodes in (1, 30, 60, 120):  # the first pays for what is loaded when it is wanted
        folder = tmp_path / str(nodes)
        folder.mkdir()
        with a_world(folder, monkeypatch) as world:
            world.queues.waiting = {"celery": 100}
            grow(world, nodes)
            world.make_pass()
            world.go_on(20)
            world.make_pass()
            counted[nodes] = calls(happens(world))
    first, later = (counted[60] - counted[30]) / 30, (counted[120] - counted[60]) / 60
    assert later < 1.1 * max(first, 1.0), counted
