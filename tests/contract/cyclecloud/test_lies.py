"""Answers that are well-formed and wrong: they may stop a pass, they never end a node that is in use."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from cyclecloud_api.deadlines import Lateness
from cyclecloud_emulator.trouble.lies import LieKind
from scalelib.errors import ProviderError
from scalelib.node import NodeId
from scalelib.provider import LaunchRequest

if TYPE_CHECKING:
    from conftest import World

Wish = Callable[..., LaunchRequest]


def fleet(world: World, wish: Wish) -> dict[str, NodeId]:
    """Eight nodes that are up, by name; our side has seen them twice."""
    world.provider.launch(wish(count=8))
    world.clock.later(200)
    world.provider.cloud()
    return {n.name: n.id for n in world.provider.cloud().nodes}


@pytest.mark.parametrize("lie", [kind.value for kind in LieKind])
def test_a_lying_look_never_ends_another_node_than_the_one_that_was_meant(
    world: World, wish: Wish, lie: str
) -> None:
    """The caller means `worker-1` and takes its id from the look, as a pass does."""
    ids = fleet(world, wish)
    world.fault("lie", path="status", lie=lie)
    for _ in range(3):
        try:
            (meant,) = [n.id for n in world.provider.cloud().nodes if n.name == "worker-1"] or [
                ids["worker-1"]
            ]
            world.provider.terminate([meant])
        except ProviderError:
            continue
    world.no_more_faults()
    ended = {n.name for n in world.nodes() if n.target != "Started"}
    assert ended <= {"worker-1"}


@pytest.mark.parametrize("lie", [kind.value for kind in LieKind])
def test_a_lying_look_never_buys_a_second_fleet(world: World, wish: Wish, lie: str) -> None:
    """The caller wants eight nodes and launches what it does not see, as a pass does."""
    fleet(world, wish)
    world.fault("lie", path="status", lie=lie)
    for number in range(3):
        try:
            there = sum(n.is_booting or n.is_ready for n in world.provider.cloud().nodes)
            if there < 8:
                world.provider.launch(wish(f"again-{number}", 8 - there))
        except ProviderError:
            continue
        world.clock.later(15)
    assert len(world.nodes()) <= 12  # where a tenth of all fields is missing, some nodes cannot be seen


@pytest.mark.parametrize("seed", range(30))
def test_fuzzed_answers_never_end_a_node(world: World, wish: Wish, seed: int) -> None:
    """Nobody means to end anything here; overdue nodes are ended as a pass would."""
    fleet(world, wish)
    with world.emulator.lock:
        world.emulator.faults.reseed(seed)
    world.fault("lie", path="status", lie="fuzz")
    for _ in range(10):
        world.clock.later(15)
        try:
            world.provider.settle()
            world.provider.cloud()
            world.provider.sweep()
            gone = (Lateness.BOOT, Lateness.FAILED)
            late = [one.id for one in world.provider.overdue() if one.why in gone]
            late += [one.id for one in world.provider.still_there()]
            if late and world.provider.breaker.may_delete:
                world.provider.terminate(late)
        except ProviderError:
            continue
    assert {n.target for n in world.nodes()} == {"Started"}
    assert len(world.nodes()) == 8
