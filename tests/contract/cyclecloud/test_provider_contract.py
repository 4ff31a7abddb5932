"""The provider against the emulator: the life of a fleet, under every setting of every uncertain point."""

from __future__ import annotations

import contextlib
import json
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import pytest

from cyclecloud_api.provider import CycleCloudProvider
from cyclecloud_emulator.settings import Cluster, Nodearray
from cyclecloud_emulator.trouble.quirks import Quirks
from scalelib import Job, config, demandcalculator
from scalelib.bucket import PoolKind
from scalelib.errors import CloudRefused, InvalidConfig, ProviderError
from scalelib.node import NodeId, NodeState
from scalelib.provider import LaunchRequest

if TYPE_CHECKING:
    from conftest import World

Wish = Callable[..., LaunchRequest]


def every_quirk() -> Iterator[tuple[str, Any]]:
    """Each switch in each position that is not the usual one."""
    numbers = {
        "operation_seconds": 5,
        "rate_limit_per_minute": 30,
        "quota_age_seconds": 300.0,
        "node_id_delay_seconds": 10.0,
        "address_delay_seconds": 30.0,
    }
    for one in msgspec.structs.fields(Quirks):
        if typing.get_origin(one.type) is Literal:
            yield from ((one.name, value) for value in typing.get_args(one.type) if value != one.default)
        elif one.type is bool:
            yield one.name, not one.default
        else:
            yield one.name, numbers[one.name]


@pytest.mark.parametrize(("name", "value"), list(every_quirk()))
def test_a_fleet_comes_and_goes_however_the_server_answers(
    make_world: Callable[..., World], wish: Wish, name: str, value: Any
) -> None:
    world = make_world(quirks={name: value})
    provider = world.provider
    assert provider.cloud().nodes == ()
    assert provider.launch(wish(count=3)).added == 3
    for seconds in (0, 15, 45):
        world.clock.later(seconds)
        assert [n.is_booting for n in provider.cloud().nodes] == [True] * 3
    world.clock.later(200)
    up = provider.cloud().nodes
    assert [(n.state, n.wanted, n.vcpu_count, n.memory_gib) for n in up] == [
        (NodeState.READY, True, 4, 16)
    ] * 3
    assert all(n.hostname for n in up)
    assert [o.ok for o in provider.terminate([n.id for n in up])] == [True] * 3
    assert not any(n.is_ready or n.is_booting for n in provider.cloud().nodes)
    provider.terminate([n.id for n in up])
    world.clock.later(100)
    after = provider.cloud()
    assert after.nodes == ()
    assert provider.breaker.may_grow
    assert [n.nodearray for n in world.nodes()] == []


def test_limits_are_shared_and_never_promise_what_the_server_refuses(world: World, wish: Wish) -> None:
    """What the pools allow is added in full; one more is not."""
    cloud = world.provider.cloud()
    bucket = next(b for b in cloud.buckets if (b.nodearray, b.vm_size) == ("worker", "Standard_E4s_v5"))
    pools = {p.name: p for p in cloud.pools}
    rooms = [pools[name].nodes for name in bucket.pools if pools[name].nodes is not None]
    rooms += [
        pools[name].cores // cores
        for name, cores in bucket.pools.items()
        if pools[name].cores is not None and cores
    ]
    most = min(room for room in rooms if room is not None)
    assert most == 12  # 50 cores of the family
    assert world.provider.launch(wish("a", most, vm_size=bucket.vm_size)).added == most
    after = next(b for b in world.provider.cloud().buckets if b.id == bucket.id)
    assert after.set_aside == ""
    more = world.provider.launch(wish("b", 1, vm_size=bucket.vm_size))
    assert more.added == 0
    assert more.message


def test_spot_has_a_quota_of_its_own(world: World) -> None:
    cloud = world.provider.cloud()
    spot = next(b for b in cloud.buckets if b.spot)
    kinds = {p.kind for p in cloud.pools if p.name in spot.pools}
    assert PoolKind.SPOT in kinds
    assert not kinds & {PoolKind.FAMILY, PoolKind.REGIONAL}


def test_fewer_than_asked_is_understood(world: World, wish: Wish) -> None:
    world.fault("fewer", path="create", added=2, times=1)
    result = world.provider.launch(wish(count=5))
    assert (result.added, len(result.nodes)) == (2, 2)


def test_a_launch_that_cannot_be_right_is_refused_with_a_reason(world: World, wish: Wish) -> None:
    with pytest.raises(CloudRefused, match="no-such-array"):
        world.provider.launch(wish(nodearray="no-such-array"))
    assert world.nodes() == []


def test_keep_alive_is_never_touched(world: World, wish: Wish) -> None:
    (node_id, name), *_ = world.provider.launch(wish(count=2)).nodes
    with world.emulator.lock:
        world.emulator.state.nodes[str(node_id)].keep_alive = True
    before = len(world.calls("terminate"))
    (outcome,) = world.provider.terminate([node_id])
    assert (outcome.ok, "KeepAlive" in outcome.error) == (False, True)
    assert len(world.calls("terminate")) == before
    assert name in [n.name for n in world.nodes()]


def test_an_id_that_nobody_knows_is_gone(world: World) -> None:
    assert [o.ok for o in world.provider.terminate([NodeId("no-such-id")])] == [True]
    assert world.calls("terminate") == []


def test_names_come_back_and_ids_do_not(world: World, wish: Wish) -> None:
    (first,) = world.provider.launch(wish("a", 1)).nodes
    world.clock.later(200)
    world.provider.cloud()
    world.provider.terminate([first[0]])
    world.clock.later(100)
    (second,) = world.provider.launch(wish("b", 1)).nodes
    assert second[1] == first[1]
    assert second[0] != first[0]
    assert [o.ok for o in world.provider.terminate([first[0]])] == [True]
    assert [n.id for n in world.nodes()] == [second[0]]


TERMINATE_FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("status", {"status": 401}),
    ("status", {"status": 409}),
    ("status", {"status": 500}),
    ("status_after", {"status": 500}),
    ("refuse", {}),
    ("lost", {}),
    ("truncate", {}),
    ("garbage", {}),
    ("empty", {}),
    ("redirect", {}),
]


@pytest.mark.parametrize(("kind", "more"), TERMINATE_FAULTS, ids=lambda v: str(v) if v else "")
def test_whatever_goes_wrong_with_a_terminate_only_those_nodes_end_and_a_repeat_ends_them(
    world: World, wish: Wish, kind: str, more: dict[str, Any]
) -> None:
    world.provider.launch(wish(count=4))
    world.clock.later(200)
    ids = {n.name: n.id for n in world.provider.cloud().nodes}
    meant = [ids["worker-1"], ids["worker-2"]]
    world.fault(kind, path="nodes/terminate", times=1, **more)
    with pytest.raises(ProviderError):
        world.provider.terminate(meant)
    assert {n.name for n in world.nodes() if n.target != "Started"} <= {"worker-1", "worker-2"}
    world.clock.later(66)
    world.provider.cloud()
    assert [o.ok for o in world.provider.terminate(meant)] == [True, True]
    world.clock.later(100)
    assert {n.name for n in world.nodes()} == {"worker-3", "worker-4"}
    assert world.provider.breaker.may_grow
    assert not any(b.set_aside for b in world.provider.cloud().buckets)


def test_the_demand_calculator_by_itself_takes_the_provider_and_its_keys(
    make_world: Callable[..., World], tmp_path: Path
) -> None:
    world = make_world()
    file = tmp_path / "autoscale.json"
    written = {
        "url": world.emulator.url,
        "username": world.emulator.user,
        "password": world.emulator.password,
        "cluster_name": world.emulator.cluster,
        "timeout": 5,
        "terminate_verb": "shutdown",
        "cyclecloud": {"capacity_backoff": 60},
    }
    file.write_text(json.dumps(written))
    file.chmod(0o600)
    dcalc = demandcalculator.new_demand_calculator(config.load(file))
    assert isinstance(dcalc.provider, CycleCloudProvider)
    with contextlib.closing(dcalc.provider):
        dcalc.add_job(Job("job", {"ncpus": 1}, iterations=3))
        dcalc.finish()
        assert sum(result.added for result in dcalc.bootup()) == len(world.nodes()) > 0
    with pytest.raises(InvalidConfig, match=r"cyclecloud\.capacity_backof is no setting; did you mean"):
        demandcalculator.new_demand_calculator({**written, "cyclecloud": {"capacity_backof": 60}})


def test_a_deallocated_node_is_started_again_before_another_is_made(
    make_world: Callable[..., World], wish: Wish
) -> None:
    """Where its nodearray means it to be used again; the boot clock begins anew."""
    array = Nodearray(sizes=("Standard_D4s_v5",), shutdown_policy="Deallocate")
    world = make_world(clusters={"celery": Cluster(nodearrays={"worker": array})})
    world.provider.launch(wish(count=1))
    world.clock.later(200)
    (up,) = world.provider.cloud().nodes
    world.client.shutdown(ids=[up.id])
    world.clock.later(100)
    dcalc = demandcalculator.new_demand_calculator({}, provider=world.provider)
    dcalc.add_job(Job("a", {"ncpus": 4}, iterations=2))
    assert [(node.name, node.exists) for node in dcalc.finish().new_nodes] == [
        ("worker-1", True),
        ("worker-2", False),
    ]
    assert [result.added for result in dcalc.bootup()] == [2]
    assert [(n.name, n.is_booting) for n in world.provider.cloud().nodes] == [
        ("worker-1", True),
        ("worker-2", True),
    ]
    assert dcalc.finish().new_count == 0
