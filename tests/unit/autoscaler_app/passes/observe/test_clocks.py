"""Time that nobody observed is no idle time: the control worker was down or deaf, or its passes failed."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from autoscaler_app.brokers import BrokerUnreachable
from autoscaler_app.passes.one_pass import make_pass
from tests.unit.autoscaler_app.world import Host, World

IDLE = 300
"""Seconds, `idle_timeout`."""


@pytest.fixture
def idle(world: World) -> Host:
    """A node that has been idle for 200 s of 300, before the eyes of a control worker."""
    world.queues.waiting["celery"] = 1
    world.make_pass()
    (host,) = world.boot()
    world.listen()
    world.make_pass()
    world.queues.waiting["celery"] = 0
    for _ in range(2):
        world.go_on(100)
        assert fenced(world) == 0
    return host


def fenced(world: World) -> int:
    made = world.make_pass()
    assert made.plan is not None
    return len(made.plan.fence)


def warned(world: World) -> bool:
    made = world.make_pass()
    assert made.saw is not None
    return any("nobody observed" in warning for warning in made.saw.warnings)


def heard_since(world: World, moment: datetime | None) -> None:
    world.listen(since=moment)  # type: ignore[arg-type]


def test_an_hour_in_which_the_control_worker_was_down_is_no_idle_time(world: World, idle: Host) -> None:
    world.go_on(3600)
    heard_since(world, world.now)
    world.control.clock_offset = None  # another process
    made = world.make_pass()
    assert made.plan is not None
    assert made.plan.fence == ()
    assert made.saw is not None
    assert [each for each in made.saw.warnings if "for 3600 s nobody observed" in each]
    world.go_on(90)
    assert fenced(world) == 0, "290 s of 300"
    world.go_on(11)
    assert fenced(world) == 1


def test_a_clock_that_was_set_back_while_the_control_worker_was_down_keeps_no_node(
    world: World, idle: Host
) -> None:
    """What is remembered would be in the future, and no node idle before it is reached."""
    world.now -= timedelta(hours=1)
    heard_since(world, world.now)
    world.control.clock_offset = None  # another process
    made = world.make_pass()
    assert made.saw is not None
    assert [each for each in made.saw.warnings if "the clock was set by -3600 s" in each]
    world.go_on(90)
    assert fenced(world) == 0, "290 s of 300"
    world.go_on(11)
    assert fenced(world) == 1


def test_an_hour_in_which_the_control_worker_listened_and_made_no_pass_is_idle_time(
    world: World, idle: Host
) -> None:
    world.go_on(3600)
    assert fenced(world) == 1


def test_an_hour_in_which_nothing_was_heard_is_no_idle_time_whenever_the_passes_were(
    world: World, idle: Host
) -> None:
    heard_since(world, None)
    for _ in range(36):
        world.go_on(100)
        assert fenced(world) == 0
    heard_since(world, world.now)
    world.go_on(90)
    assert fenced(world) == 0, "290 s of 300"
    world.go_on(11)
    assert fenced(world) == 1


def test_an_hour_of_passes_that_failed_is_no_idle_time(
    world: World, idle: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(world.queues, "depths", _unreachable)
        for _ in range(9):
            world.go_on(80)
            assert make_pass(world.control).error
    world.go_on(80)
    assert fenced(world) == 0, "200 s, and 80 until the first that failed"
    world.go_on(21)
    assert fenced(world) == 1


def _unreachable(queues: object) -> None:
    raise BrokerUnreachable("no answer in time")


def test_a_short_pause_is_no_warning_and_a_command_observes_nothing_in_between(
    world: World, idle: Host
) -> None:
    world.go_on(45)
    heard_since(world, world.now)
    assert not warned(world)
    world.control.listener = None
    world.go_on(3600)
    before = world.control.state.fact("looked")
    assert fenced(world) == 1, "there it is all that anybody ever sees"
    assert world.control.state.fact("looked") == before


def test_a_hungry_host_is_not_hungrier_for_it(world: World, idle: Host) -> None:
    world.control.state.set_fact("hungry", {"x": world.now.timestamp()})
    by = world.control.state.unobserved_before(
        world.now + timedelta(seconds=60), world.now + timedelta(hours=1)
    )
    assert by == timedelta(seconds=60)
    assert world.control.state.fact("hungry") == {"x": world.now.timestamp() + 60}
