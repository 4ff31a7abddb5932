"""A host has acknowledged when every worker process of it has, and not sooner."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler_app.passes.act.hands import tell_hosts
from tests.unit.autoscaler_app.world import Host, World


@pytest.fixture
def two(world: World) -> tuple[Host, Host]:
    """Two workers on one host."""
    first, second = Host("n1"), Host("n1", pid=2, worker="second")
    world.hosts.of = {"first": first, "second": second}
    return first, second


def told(world: World, *hostnames: str) -> dict[str, bool]:
    return tell_hosts(world.control, world.sight(), hostnames, "fence", {})


def test_every_worker_process_has_to_acknowledge(world: World, two: tuple[Host, Host]) -> None:
    two[1].is_deaf_to.add("fence")
    assert told(world, "n1") == {"n1": False}
    two[1].is_deaf_to.clear()
    assert told(world, "n1") == {"n1": True}


def test_one_that_answers_that_it_cannot_has_not_acknowledged(
    world: World, two: tuple[Host, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    sight, ask = world.sight(), world.hosts.ask

    def refuses(*words: Any) -> dict[str, Any]:
        return {**ask(*words), two[1].nodename: None}

    monkeypatch.setattr(world.hosts, "ask", refuses)
    assert tell_hosts(world.control, sight, ["n1"], "fence", {}) == {"n1": False}


def test_a_host_of_which_no_worker_is_known_has_acknowledged_nothing(
    world: World, two: tuple[Host, Host]
) -> None:
    assert told(world, "n1", "unknown") == {"n1": True, "unknown": False}
    assert told(world, "unknown") == {"unknown": False}
    assert told(world) == {}


def test_what_the_answers_tell_is_believed_at_once(world: World, two: tuple[Host, Host]) -> None:
    told(world, "n1")
    view = world.control.activity.host("n1")
    assert view is not None
    assert view.fenced
