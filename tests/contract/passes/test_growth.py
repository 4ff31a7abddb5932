"""A pass and a cloud that cannot give what was planned. Spoken over HTTP with the emulator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from celery import Celery

from autoscaler_app.passes.control import Control
from autoscaler_app.passes.observe.look import observe
from autoscaler_app.passes.one_pass import make_pass
from autoscaler_app.settings import Autoscaler, Settings
from cyclecloud_emulator import settings
from cyclecloud_emulator.emulator import Emulator
from cyclecloud_emulator.trouble.faults import Fault, FaultKind


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    bare = settings.replace(settings.load(), nodes={"kind": "none", "boot_seconds": 3600.0})
    with Emulator.start(bare) as running:
        yield running


@pytest.fixture
def control(emulator: Emulator, valkey_url: str, tmp_path: Path) -> Iterator[Control]:
    config = {
        "url": emulator.url,
        "username": emulator.user,
        "password": emulator.password,
        "cluster_name": emulator.cluster,
        "prices": {"Standard_F2s_v2": 0.1, "Standard_F2s_v2/spot": 0.02, "Standard_F4s_v2": 0.3},
    }
    made = Settings(config=config, autoscaler=Autoscaler(ask_timeout=0.5), folder=tmp_path)
    with Celery(broker=valkey_url) as app:
        control = Control.open(app, made)
        yield control
        control.close()


@pytest.fixture
def backlog(control: Control) -> Callable[[int], None]:
    def send(count: int) -> None:
        for _ in range(count):
            control.app.send_task("some.task", queue="celery")

    return send


def test_where_an_offering_has_nothing_the_same_pass_goes_on_to_the_next(
    control: Control, emulator: Emulator, backlog: Callable[[int], None]
) -> None:
    backlog(4)
    emulator.faults.add(Fault(kind=FaultKind.FEWER, path="/nodes/create$", times=1, added=0))
    made = make_pass(control)
    launches = [action for action in made.actions if action.kind == "launch"]
    assert [action.ok for action in launches] == [False, True]
    assert launches[0].target != launches[1].target
    assert sum(node.size.vcpus for node in emulator.nodes()) >= 4
    assert not made.ok, "that something could not be had is said"


def test_the_next_pass_leaves_the_offering_alone_and_says_why(
    control: Control, emulator: Emulator, backlog: Callable[[int], None]
) -> None:
    backlog(4)
    emulator.faults.add(Fault(kind=FaultKind.FEWER, path="/nodes/create$", times=1, added=0))
    first = make_pass(control).actions[0].target.rpartition(" ")[2]
    backlog(40)
    second = make_pass(control)
    assert second.plan is not None
    assert first not in {f"{launch.nodearray}/{launch.vm_size}" for launch in second.plan.launch}


def test_where_a_placement_group_has_nothing_the_same_pass_goes_on_to_another(
    control: Control, emulator: Emulator
) -> None:
    queue = "res:ncpus=2:x2:colocated"
    needs = {"constraints": {"ncpus": 2}, "node_count": 2, "colocated": True}
    control.state.kinds.announce({queue: needs}, control.now())
    control.app.send_task("some.gang", queue=queue)
    emulator.faults.add(Fault(kind=FaultKind.FEWER, path="/nodes/create$", times=1, added=0))
    made = make_pass(control)
    assert made.plan is not None
    refused = made.plan.launch[0].placement_group
    launches = [action for action in made.actions if action.kind == "launch"]
    assert [action.ok for action in launches] == [False, True]
    groups = {node.placement_group for node in emulator.nodes()}
    assert len(groups) == 1
    assert groups.isdisjoint({refused, None})
    seen = observe(control).snapshot
    assert [key.partition("@")[2] for key in seen.set_aside] == [refused]


def test_when_the_cloud_answers_nonsense_nothing_is_done(
    control: Control, emulator: Emulator, backlog: Callable[[int], None]
) -> None:
    backlog(4)
    for kind in (FaultKind.GARBAGE, FaultKind.TRUNCATE, FaultKind.EMPTY, FaultKind.REDIRECT):
        emulator.faults.clear()
        emulator.faults.add(Fault(kind=kind, path="/status$"))
        made = make_pass(control)
        assert made.actions == ()
        assert made.plan is None
        assert made.error
    assert emulator.nodes() == []
    emulator.faults.clear()
    assert make_pass(control).ok


def test_a_task_with_an_eta_far_ahead_needs_no_node_yet(control: Control, emulator: Emulator) -> None:
    """What the listener would have heard, without one: the message alone counts as waiting."""
    control.app.send_task("some.task", queue="celery", countdown=7200)
    assert make_pass(control).plan is not None
    assert len(emulator.nodes()) == 1, "what is not known to be for later is demand now"
