"""A storm of seeded faults on every call: nothing happens twice, and afterwards all is as it should be."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from cyclecloud_emulator.trouble.faults import FaultKind, Schedule
from scalelib.errors import ProviderError
from scalelib.provider import LaunchRequest

if TYPE_CHECKING:
    from conftest import World

Wish = Callable[..., LaunchRequest]
WANT = 6
STORM = [
    FaultKind.STATUS,
    FaultKind.STATUS_AFTER,
    FaultKind.REFUSE,
    FaultKind.LOST,
    FaultKind.TRUNCATE,
    FaultKind.GARBAGE,
    FaultKind.EMPTY,
]


def one_pass(world: World, wish: Wish, want: int) -> None:
    """Settle, look, launch what is missing or end what is too many; the next pass goes on after an error."""
    provider = world.provider
    try:
        provider.settle()
        there = [n for n in provider.cloud().nodes if n.is_booting or n.is_ready]
        provider.sweep()
        if len(there) < want:
            missing = want - len(there)
            kind = {"nodearray": "worker", "vm_size": "Standard_D4s_v5", "count": missing}
            request_id = provider.request_id(**kind, spot=False, placement_group=None)
            provider.launch(wish(request_id, missing))
        elif len(there) > want:
            provider.terminate([n.id for n in there[want:]])
    except ProviderError:
        pass


@pytest.mark.parametrize("seed", range(8))
def test_through_a_storm_of_faults_and_restarts(world: World, wish: Wish, seed: int) -> None:
    with world.emulator.lock:
        world.emulator.faults.follow(Schedule(seed=seed, rate=0.3, kinds=STORM))
    for number in range(60):
        one_pass(world, wish, WANT)
        assert len([n for n in world.nodes() if n.target == "Started"]) <= WANT
        world.clock.later(15)
        if number % 20 == 19:
            world.start_over()

    world.no_more_faults()
    world.clock.later(66)
    for _ in range(80):
        one_pass(world, wish, WANT)
        world.clock.later(15)
    assert len(world.nodes()) == WANT
    assert world.provider.settle() == []
    assert world.provider.breaker.may_grow

    for _ in range(6):
        one_pass(world, wish, 0)
        world.clock.later(15)
    assert world.nodes() == []
