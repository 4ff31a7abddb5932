"""Machines that cannot be had, nodes that go wrong, and what is remembered of it, against the emulator."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from cyclecloud_api.breaker import BreakerState
from cyclecloud_api.deadlines import Lateness
from cyclecloud_api.provider import CycleCloudProvider
from cyclecloud_emulator import load
from scalelib.errors import ProviderError
from scalelib.node import NodeId
from scalelib.provider import Cloud, LaunchRequest

if TYPE_CHECKING:
    from conftest import World

Wish = Callable[..., LaunchRequest]
SIZE = "Standard_D4s_v5"
PASS = 15.0
"""Seconds between two passes."""


def aside(cloud: Cloud) -> set[str]:
    return {
        f"{b.nodearray}/{b.vm_size}"
        for b in cloud.buckets
        if b.set_aside and b.nodearray.startswith("worker")
    }


def run(world: World, wish: Wish, passes: int, want: int, **kind: Any) -> list[int]:
    """Passes that want so many nodes of one kind and clean up what failed; nodes really there after each."""
    there = []
    for _ in range(passes):
        provider: CycleCloudProvider = world.provider
        try:
            provider.settle()
            cloud = provider.cloud()
            up = sum(n.is_booting or n.is_ready for n in cloud.nodes)
            bucket = next(
                b
                for b in cloud.buckets
                if (b.nodearray, b.vm_size) == (kind.get("nodearray", "worker"), kind.get("vm_size", SIZE))
            )
            if up < want and not bucket.set_aside:
                number = len(world.calls("create"))
                provider.launch(wish(f"launch-{number}", want - up, **kind))
            late = [one.id for one in provider.overdue() if one.why in (Lateness.BOOT, Lateness.FAILED)]
            if late and provider.breaker.may_delete:
                provider.terminate(late)
        except ProviderError:
            pass
        there.append(len(world.nodes()))
        world.clock.later(PASS)
    return there


@pytest.mark.parametrize("shows", ["failed", "unavailable", "vanish"])
def test_a_size_without_capacity_gets_few_creates_an_hour_and_the_others_stay_open(
    make_world: Callable[..., World], wish: Wish, shows: str
) -> None:
    world = make_world(quirks={"capacity_failure": shows}, failed_seconds=30.0)
    world.mishap("capacity", vm_size=SIZE, nodearray="worker")
    run(world, wish, passes=240, want=20)
    creates = len(world.calls("create"))
    assert 2 <= creates <= 10
    cloud = world.provider.cloud()
    if aside(cloud):
        assert aside(cloud) <= {f"worker/{SIZE}", f"worker-spot/{SIZE}"}
    assert world.provider.breaker.state is BreakerState.CLOSED
    assert world.provider.launch(wish("other", 5, vm_size="Standard_F4s_v2")).added == 5


def test_the_next_offering_is_there_in_the_same_pass(world: World, wish: Wish) -> None:
    """What is wanted and cannot be had in one size is asked for in the next one at once."""
    world.mishap("capacity", vm_size=SIZE)
    world.provider.cloud()
    world.provider.launch(wish("first", 8))
    for _ in range(4):
        world.clock.later(PASS)
        cloud = world.provider.cloud()
    assert f"worker/{SIZE}" in aside(cloud)
    assert world.provider.launch(wish("second", 8, vm_size="Standard_F4s_v2")).added == 8


def test_nodes_that_vanish_while_they_start_get_few_creates_too(world: World, wish: Wish) -> None:
    world.mishap("vanish", vm_size=SIZE)
    run(world, wish, passes=240, want=20)
    assert 2 <= len(world.calls("create")) <= 10


def test_capacity_that_comes_back_is_used_again_after_one_probe(world: World, wish: Wish) -> None:
    world.mishap("capacity", vm_size=SIZE)
    run(world, wish, passes=4, want=5)
    assert f"worker/{SIZE}" in aside(world.provider.cloud())
    world.no_more_mishaps()
    there = run(world, wish, passes=60, want=5)
    assert 1 in there
    assert there[-1] == 5
    assert aside(world.provider.cloud()) == set()


def test_a_size_that_the_server_throttles_is_asked_for_one_node_at_a_time(
    make_world: Callable[..., World], wish: Wish
) -> None:
    """`availableCount` 0 with room under every limit is a failure; it is remembered, and probed gently."""
    celery = load().clusters["celery"]
    worker = msgspec.structs.replace(
        celery.nodearrays["worker"], throttle_capacity=True, throttle_capacity_seconds=400.0
    )
    arrays = {**celery.nodearrays, "worker": worker}
    clusters = {"celery": msgspec.structs.replace(celery, nodearrays=arrays)}
    world = make_world(clusters=clusters, quirks={"capacity_memory": "hour"}, failed_seconds=1.0)
    world.mishap("capacity", vm_size=SIZE, nodearray="worker")
    run(world, wish, passes=240, want=20)
    creates = [c for c in world.emulator.calls if c.path.endswith("create")]
    gaps = [after.at - before.at for before, after in itertools.pairwise(creates)]
    assert 2 <= len(creates) <= 10
    assert gaps == sorted(gaps), "each window is longer than the one before"
    assert world.provider.breaker.state is BreakerState.CLOSED


def test_what_is_set_aside_survives_a_restart_of_our_side(world: World, wish: Wish) -> None:
    world.mishap("capacity", vm_size=SIZE)
    run(world, wish, passes=4, want=5)
    before = len(world.calls("create"))
    world.start_over()
    run(world, wish, passes=4, want=5)
    assert len(world.calls("create")) == before


@pytest.mark.parametrize("shows", ["terminating", "unavailable", "vanish"])
def test_of_an_evicted_spot_size_one_node_is_tried_and_it_is_set_aside_until_that_is_up(
    make_world: Callable[..., World], wish: Wish, shows: str
) -> None:
    world = make_world(quirks={"eviction": shows}, eviction_notice_seconds=0.0)
    world.provider.launch(wish(count=3, nodearray="worker-spot", spot=True))
    world.clock.later(200)
    world.provider.cloud()
    with world.emulator.lock:
        for node in list(world.emulator.state.nodes.values()):
            if node.spot:
                world.emulator.life.evict(node, world.clock.seconds(), notice=0.0)
                break
    for _ in range(3):
        world.clock.later(PASS)
        cloud = world.provider.cloud()
    assert aside(cloud) == set()
    again = wish("again", count=3, nodearray="worker-spot", spot=True)
    assert world.provider.launch(again).added == 1
    assert aside(world.provider.cloud()) == {f"worker-spot/{SIZE}"}
    world.clock.later(200)
    world.provider.cloud()
    assert aside(world.provider.cloud()) == set()


@pytest.mark.parametrize(
    ("mishap", "why"),
    [
        ("acquiring_forever", Lateness.BOOT),
        ("boot_forever", Lateness.BOOT),
        ("configuration", Lateness.FAILED),
    ],
)
def test_a_node_that_never_comes_up_is_overdue_and_ended(
    world: World, wish: Wish, mishap: str, why: Lateness
) -> None:
    world.mishap(mishap, times=1)
    world.provider.launch(wish(count=4))
    ended: set[NodeId] = set()
    reasons: set[Lateness] = set()
    for _ in range(160):
        world.provider.cloud()
        late = [one for one in world.provider.overdue() if one.why in (Lateness.BOOT, Lateness.FAILED)]
        reasons |= {one.why for one in late}
        if late:
            ended |= {o.id for o in world.provider.terminate([one.id for one in late]) if o.ok}
        world.clock.later(PASS)
    assert reasons == {why}
    assert len(ended) == 1
    assert len(world.nodes()) == 3
    assert aside(world.provider.cloud()) == set()


def test_a_fleet_that_fails_as_a_whole_opens_the_breaker_and_recovers(world: World, wish: Wish) -> None:
    world.mishap("configuration")
    world.provider.launch(wish(count=6))
    world.clock.later(200)
    cloud = world.provider.cloud()
    assert world.provider.breaker.state is BreakerState.OPEN
    assert all(b.set_aside for b in cloud.buckets)
    assert world.provider.launch(wish("more", 6)).added == 0
    world.no_more_mishaps()
    there = run(world, wish, passes=120, want=6)
    assert world.provider.breaker.state is BreakerState.CLOSED
    assert there[-1] == 6


def test_a_restart_of_the_server_that_forgets_everything_is_survived(world: World, wish: Wish) -> None:
    run(world, wish, passes=10, want=5)
    world.lose_memory(nodes=True)
    there = run(world, wish, passes=80, want=5)
    assert there[-1] == 5


def test_a_clock_of_the_server_that_is_wrong_does_no_harm(world: World, wish: Wish) -> None:
    """No instant of the server is compared with one of ours."""
    world.emulator._clock = lambda: world.clock.seconds() + 7 * 86400
    assert run(world, wish, passes=20, want=5)[-1] == 5
    assert world.provider.overdue() == ()
