"""The client against the emulator: every endpoint, over real sockets, well and under every fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from cyclecloud_api import CycleCloudClient, errors, models
from cyclecloud_emulator import Emulator, load, replace

if TYPE_CHECKING:
    from conftest import World

SIZE = models.BucketDefinition(machine_type="Standard_D4s_v5")


def sets(count: int = 2) -> list[models.NodeSet]:
    return [models.NodeSet(nodearray="worker", count=count, definition=SIZE)]


def test_the_life_of_nodes_through_every_endpoint(world: World) -> None:
    client = world.client
    made = client.create(sets(), request_id="r-1")
    assert made.sets[0].added == 2
    listed = [models.read(models.NodeRecord, n) for n in client.nodes(operation=made.operation_id).nodes]
    assert [n.name for n in listed] == ["worker-1", "worker-2"]
    assert client.nodes(request_id="r-1").nodes == client.nodes(operation=made.operation_id).nodes
    assert client.operation(made.operation_id).action == "create"
    assert len(client.operations(request_id="r-1")) == 1
    world.clock.later(200)
    status = client.status(nodes=True)
    assert {n["Status"] for n in status.nodes or [] if n["Template"] == "worker"} == {"Ready"}
    assert client.scale("worker", total_nodes=3).sets[0].added == 1
    ended = client.terminate(names=["worker-1"], request_id="t-1")
    assert [(n.name, n.ok) for n in ended.nodes] == [("worker-1", True)]
    with pytest.raises(errors.RepeatedRequestId):
        client.terminate(names=["worker-1"], request_id="t-1")
    assert client.deallocate(names=["worker-2"]).nodes[0].ok
    world.clock.later(100)
    assert client.start(names=["worker-2"]).nodes[0].ok
    world.clock.later(200)
    for verb in (client.restart, client.reimage, client.shutdown, client.remove):
        assert isinstance(verb(ids=[listed[1].node_id]), models.ManagementResult)
    assert client.usage().usage
    world.clock.later(100)
    assert sorted(n.name for n in world.nodes()) == ["worker-3"]


def test_a_repeated_create_is_told_from_a_bad_one(world: World) -> None:
    world.client.create(sets(), request_id="r-1")
    with pytest.raises(errors.RepeatedRequestId, match="r-1 was carried out before"):
        world.client.create(sets(), request_id="r-1")
    with pytest.raises(errors.Conflict) as caught:
        world.client.create([models.NodeSet(nodearray="nowhere", count=1)], request_id="r-2")
    assert not isinstance(caught.value, errors.RepeatedRequestId)
    assert "nowhere" in str(caught.value)


def test_what_does_not_exist_is_not_found(world: World) -> None:
    for ask in (
        lambda: world.client.operation("no-such"),
        lambda: world.client.nodes(request_id="no-such"),
        lambda: world.connect(cluster="no such/cluster").status(),
    ):
        with pytest.raises(errors.NotFound):
            ask()


def test_a_wrong_password_is_sent_once(world: World) -> None:
    client = world.connect(password="wrong")
    for _ in range(20):
        with pytest.raises(errors.Unauthorised) as caught:
            client.status()
        assert "wrong" not in str(caught.value)
    assert world.emulator.gate.failures == 1
    world.clock.later(66)
    with pytest.raises(errors.Unauthorised):
        client.status()
    assert world.emulator.gate.failures <= 2
    assert world.client.status().state == "Started"


FAULTS: list[tuple[str, dict[str, Any], type[Exception]]] = [
    ("status", {"status": 401}, errors.Unauthorised),
    ("status", {"status": 403}, errors.Unauthorised),
    ("status", {"status": 404}, errors.NotFound),
    ("status", {"status": 409}, errors.Conflict),
    ("status", {"status": 429}, errors.ServerTrouble),
    ("status", {"status": 500}, errors.ServerTrouble),
    ("status", {"status": 503, "retry_after": 1}, errors.ServerTrouble),
    (
        "status",
        {"status": 500, "body": "<html><body>NullPointerException</body></html>"},
        errors.ServerTrouble,
    ),
    ("refuse", {}, errors.Unreachable),
    ("lost", {}, errors.Unreachable),
    ("hang", {"seconds": 1.0}, errors.Unreachable),
    ("hang_after", {"seconds": 1.0}, errors.Unreachable),
    ("slow", {"seconds": 1.0}, errors.Unreachable),
    ("truncate", {}, errors.Unreachable),
    ("garbage", {}, errors.Garbled),
    ("empty", {}, errors.Garbled),
    ("redirect", {}, errors.Rejected),
    ("lie", {"lie": "not_an_object"}, errors.Garbled),
]


def patience(kind: str) -> float:
    """Seconds that the client waits: short only where waiting is what the fault is about."""
    return 0.4 if kind in ("hang", "hang_after", "slow") else 30.0


@pytest.mark.parametrize(("kind", "more", "error"), FAULTS, ids=lambda v: str(v) if v else "")
def test_every_fault_of_a_read_is_a_typed_error(
    world: World, kind: str, more: dict[str, Any], error: type[Exception]
) -> None:
    client = world.connect(timeout=patience(kind))
    world.fault(kind, path="status", **more)
    with pytest.raises(error) as caught:
        client.status()
    assert str(caught.value).startswith("GET /clusters/celery/status: ")


@pytest.mark.parametrize(("kind", "more", "error"), FAULTS, ids=lambda v: str(v) if v else "")
def test_every_fault_of_a_create_is_a_typed_error_and_never_sent_twice(
    world: World, wait_until: Callable[..., object], kind: str, more: dict[str, Any], error: type[Exception]
) -> None:
    client = world.connect(timeout=patience(kind))
    world.fault(kind, path="create", **more)
    with pytest.raises(error):
        client.create(sets())
    wait_until(lambda: world.calls("create"), what="the server has come to it, perhaps after our patience")
    assert len(world.calls("create")) == 1


@pytest.mark.parametrize("kind", ["refuse", "lost", "truncate", "status"])
def test_reads_get_over_passing_faults(world: World, kind: str) -> None:
    world.fault(kind, path="status", times=3)
    assert world.client.status().state == "Started"
    assert len(world.calls("status")) == 4


def test_a_path_prefix_is_kept() -> None:
    settings = replace(load(), base_path="/cycle/cloud", nodes={"kind": "none"})
    with (
        Emulator.start(settings, password="secret") as emulator,
        CycleCloudClient(emulator.url + "/", emulator.user, "secret", "celery") as client,
    ):
        assert client.status().state == "Started"
