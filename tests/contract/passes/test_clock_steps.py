"""The clock of the broker node is set between two passes: no node is taken for idle or silent by that."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from autoscaler_app.passes.control import Control
from autoscaler_app.passes.one_pass import make_pass
from autoscaler_app.passes.report import Report
from tests.contract.passes.conftest import Hands

HOUR = 3600.0


@pytest.fixture
def idle_node(control: Control, wait_until: Callable[..., Any]) -> Callable[..., Report]:
    """Makes passes, before which the one node tells that it has nothing to do."""
    control.app.send_task("some.task", queue="celery")
    make_pass(control)
    (node,) = wait_until(lambda: [n for n in control.provider.cloud().nodes if n.is_ready])
    with control.app.connection_for_write() as connection:
        connection.default_channel.queue_purge("celery")
    seq = itertools.count(1)

    def tell_and_pass(*, tells: bool = True) -> Report:
        if tells:
            account = {"nodename": f"celery@{node.hostname}", "pid": 7, "started": 1.0, "seq": next(seq)}
            control.activity.merge({**account, "total": {"ncpus": 2}, "queues": ["celery"]}, control.now())
        return make_pass(control)

    return tell_and_pass


def fate(made: Report) -> tuple[list[str], list[str]]:
    """Why nodes were fenced, and why they were to be deleted."""
    assert made.plan is not None, made.error
    return [f.reason.value for f in made.plan.fence], [d.reason.value for d in made.plan.delete]


@pytest.mark.parametrize("by", [HOUR, 24 * HOUR, -HOUR], ids=["an-hour-on", "a-day-on", "an-hour-back"])
def test_an_idle_node_has_been_idle_for_as_long_as_it_was(
    hands: Hands, idle_node: Callable[..., Report], by: float
) -> None:
    assert fate(idle_node()) == ([], [])
    for _ in range(2):
        hands.run(100)
        assert fate(idle_node()) == ([], [])
    hands.set(by)
    hands.run(15)

    made = idle_node()
    assert fate(made) == ([], []), "215 s of 300"
    assert made.saw is not None
    assert [w for w in made.saw.warnings if f"the clock was set by {by:+.0f} s" in w]

    hands.run(100)
    again = idle_node()
    assert fate(again) == (["idle"], []), "315 s, however the clock was set"
    assert again.saw is not None
    assert not [w for w in again.saw.warnings if "the clock was set" in w]


def test_a_clock_that_is_set_in_the_middle_of_a_look_is_noticed_in_time(
    control: Control, hands: Hands, idle_node: Callable[..., Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine sleeps, say, while hosts are asked."""
    idle_node()
    hands.run(15)
    take = control.activity.take_sends

    def sleep_and_take() -> Any:
        hands.set(HOUR)
        return take()

    monkeypatch.setattr(control.activity, "take_sends", sleep_and_take)
    assert fate(idle_node()) == ([], [])


def test_a_host_that_is_slow_to_speak_after_the_step_is_not_silent(
    hands: Hands, idle_node: Callable[..., Report]
) -> None:
    idle_node()
    hands.set(HOUR)
    hands.run(15)
    made = idle_node(tells=False)
    assert fate(made) == ([], [])
    assert made.saw is not None
    (node,) = made.saw.nodes
    assert node.heard_seconds_ago == pytest.approx(15)
    hands.run(700)
    assert fate(idle_node(tells=False))[1] == ["silent"], "what has really passed counts"


def test_a_drain_is_as_old_as_it_was(control: Control, hands: Hands) -> None:
    began = hands.wall
    control.state.begin_drain("i-1", "n1", "idle", began)
    control.state.mark_fenced("i-1", began)
    control.state.set_fact("hungry", {"n1": began.timestamp()})
    make_pass(control)
    hands.set(HOUR)
    control.state.clock_was_set(timedelta(hours=1), hands.wall)
    drain = control.state.drains()["i-1"]
    assert (drain.chosen, drain.fenced) == (hands.wall, hands.wall)
    assert drain.shut_down is None
