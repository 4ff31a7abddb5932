"""A pass costs each node the same, however many there are: counted in calls, so that no clock has a say."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from tests.machines import CORES, Machine
from tests.unit.autoscaler_app.world import Host, World


def calls(world: World) -> int:
    """Functions that a pass calls."""
    count = 0

    def one_more(frame: FrameType, event: str, _: Any) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(one_more)
    try:
        world.make_pass()
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
        counted[nodes] = calls(world)
        world.go_on(20)
    first, later = (counted[100] - counted[50]) / 50, (counted[200] - counted[100]) / 100
    assert later < 1.1 * first, (first, later)
    assert later < 700, later
