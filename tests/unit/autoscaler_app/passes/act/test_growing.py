"""Launches: each is tried, whatever became of the one before, and what came is what is said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from autoscaler_app.passes.act.deeds import Deeds
from autoscaler_app.passes.act.growing import launch_all
from autoscaler_app.passes.plan import Launch
from scalelib.errors import CloudRefused, CloudUnreachable
from scalelib.provider import LaunchRequest, LaunchResult
from tests.unit.autoscaler_app.world import World


@pytest.fixture(autouse=True)
def in_charge(world: World) -> Iterator[None]:
    with world.control.lease.for_a_pass():
        yield


def launch(size: str, count: int = 2) -> Launch:
    return Launch(
        nodearray="all",
        vm_size=size,
        spot=True,
        placement_group="pg1",
        count=count,
        price_per_hour=1.0,
        jobs={},
    )


def outcome(world: World, *launches: Launch) -> tuple[bool, list[tuple[str, bool, str]]]:
    deeds = Deeds()
    all_came = launch_all(world.control, deeds, launches)
    return all_came, [(action.target, action.ok, action.detail) for action in deeds.actions]


def test_one_that_gets_nothing_does_not_keep_the_next_from_being_tried(world: World) -> None:
    world.cloud.nothing_of["small"] = "sold out"
    assert outcome(world, launch("small"), launch("large")) == (
        False,
        [("2 x all/small", False, "0 added: sold out"), ("2 x all/large", True, "2 added")],
    )


def test_one_that_is_refused_does_not_either(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real = world.cloud.launch

    def refuse(request: LaunchRequest) -> LaunchResult:
        if request.vm_size == "small":
            raise CloudRefused("no such bucket")
        return real(request)

    monkeypatch.setattr(world.cloud, "launch", refuse)
    assert outcome(world, launch("small"), launch("large")) == (
        False,
        [("2 x all/small", False, "no such bucket"), ("2 x all/large", True, "2 added")],
    )


def test_fewer_than_asked_for_are_not_all(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    fewer = LaunchResult(request_id="r", added=1, message="no more room")
    monkeypatch.setattr(world.cloud, "launch", lambda request: fewer)
    assert outcome(world, launch("small")) == (False, [("2 x all/small", False, "1 added: no more room")])


def test_a_cloud_that_does_not_answer_ends_the_pass(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(request: LaunchRequest) -> Any:
        raise CloudUnreachable("no answer")

    monkeypatch.setattr(world.cloud, "launch", away)
    with pytest.raises(CloudUnreachable):
        outcome(world, launch("small"), launch("large"))


def test_everything_that_was_planned_is_asked_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[LaunchRequest] = []
    named: list[dict[str, Any]] = []

    def request_id(**wish: Any) -> str:
        named.append(wish)
        return "the id"

    def take(request: LaunchRequest) -> LaunchResult:
        asked.append(request)
        return LaunchResult(request_id=request.request_id, added=request.count)

    monkeypatch.setattr(world.cloud, "request_id", request_id)
    monkeypatch.setattr(world.cloud, "launch", take)
    assert outcome(world, launch("small", 3))[0]
    wish = {"nodearray": "all", "vm_size": "small", "count": 3, "spot": True, "placement_group": "pg1"}
    assert named == [wish]
    assert asked == [LaunchRequest(request_id="the id", **wish)]
