"""Many machines that fail stop growth, and what is no illness does not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cyclecloud_api.breaker import BreakerState
from cyclecloud_api.inventory import Inventory
from cyclecloud_api.watch import Watch
from scalelib.node import NodeId
from scalelib.provider import LaunchRequest

Make = Callable[..., dict[str, Any]]
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def wish(count: int = 40, **changes: Any) -> LaunchRequest:
    facts = {"nodearray": "worker", "vm_size": "Standard_D4s_v5", "count": count, **changes}
    return LaunchRequest(request_id="r", **facts)


def test_many_failed_nodes_stop_growth_and_it_shows(see: Callable[..., Inventory], node: Make) -> None:
    watch = Watch()
    cloud = watch.look(see(*(node(i, Status="Failed", StatusMessage="script") for i in range(4))), NOON)
    assert watch.document.breaker.state is BreakerState.OPEN
    assert "circuit breaker open: 4 of 4 nodes are unhealthy" in cloud.warnings[0]
    assert all("growth is stopped" in b.set_aside for b in cloud.buckets)
    assert watch.allowance(wish(), NOON)[0] == 0


@pytest.mark.parametrize(
    "lie",
    [
        {"TargetState": "Terminated"},
        {"Status": "Hibernating", "TargetState": "Pending"},
        {"Status": "Failed", "StatusMessage": "disk broken"},
    ],
)
def test_a_whole_fleet_that_turns_bad_at_once_stops_growth(
    see: Callable[..., Inventory], node: Make, lie: dict[str, str]
) -> None:
    """Planning on it would buy a second fleet beside the first."""
    watch = Watch()
    watch.look(see(*(node(i) for i in range(8))), NOON)
    cloud = watch.look(see(*(node(i, **lie) for i in range(8))), later(15))
    assert not watch.document.breaker.may_grow
    assert all(b.set_aside for b in cloud.buckets)
    watch.look(see(*(node(i) for i in range(8))), later(30))
    assert watch.document.breaker.state is BreakerState.CLOSED


@pytest.mark.parametrize("after", [[], [{"Status": "Unavailable", "InstanceId": None}] * 8])
def test_shortage_is_no_illness(
    see: Callable[..., Inventory], node: Make, after: list[dict[str, Any]]
) -> None:
    """It sets the offering aside, and the others stay open."""
    watch = Watch()
    watch.look(see(*(node(i, Status="Acquiring", InstanceId=None) for i in range(8))), NOON)
    for seconds in (15, 30):
        cloud = watch.look(see(*(node(i, **changes) for i, changes in enumerate(after))), later(seconds))
        assert watch.document.breaker.state is BreakerState.CLOSED
    assert [bool(b.set_aside) for b in cloud.buckets] == [True, False]


def test_evicted_spot_nodes_are_no_illness(see: Callable[..., Inventory], node: Make) -> None:
    watch = Watch()
    spot = {"Template": "worker-spot", "Interruptible": True}
    watch.look(see(*(node(i, **spot) for i in range(8))), NOON)
    for seconds in (15, 30):
        cloud = watch.look(see(), later(seconds))
        assert watch.document.breaker.state is BreakerState.CLOSED
    assert [bool(b.set_aside) for b in cloud.buckets] == [False, False], "it may be the only one that fits"


def test_a_list_that_loses_most_of_the_fleet_stops_growth(see: Callable[..., Inventory], node: Make) -> None:
    watch = Watch()
    watch.look(see(*(node(i) for i in range(8))), NOON)
    watch.look(see(node(1), node(2)), later(15))
    assert not watch.document.breaker.may_grow


def test_nodes_that_we_ended_ourselves_are_healthy_whatever_they_look_like(
    see: Callable[..., Inventory], node: Make
) -> None:
    watch = Watch()
    watch.look(see(*(node(i) for i in range(8))), NOON)
    watch.ending([NodeId(f"node-{i}") for i in range(8)], later(10))
    leaving = {"Status": "Terminating", "TargetState": "Terminated"}
    watch.look(see(*(node(i, **leaving) for i in range(8))), later(15))
    watch.look(see(), later(30))
    assert watch.document.breaker.state is BreakerState.CLOSED


def test_while_the_breaker_is_tried_nodes_go_one_by_one(see: Callable[..., Inventory], node: Make) -> None:
    watch = Watch()
    bad = see(*(node(i, Status="Failed", StatusMessage="script") for i in range(4)))
    watch.look(bad, NOON)
    watch.look(bad, later(601))
    assert watch.document.breaker.state is BreakerState.TRYING
    assert watch.allowance(wish(), later(601))[0] == 1


def test_while_the_breaker_is_tried_the_next_node_waits_for_the_fate_of_the_last(
    see: Callable[..., Inventory], node: Make
) -> None:
    """Or else every pass would buy one of each size, and a trial dozens of what fails."""
    watch = Watch()
    ill = [node(i, Status="Failed", StatusMessage="script") for i in range(4)]
    watch.look(see(*ill), NOON)
    watch.look(see(*ill), later(601))
    watch.created(wish(1), [NodeId("node-9")], later(601))
    assert watch.allowance(wish(nodearray="worker-spot", spot=True), later(601))[0] == 0
    watch.look(see(*ill, node(9, Status="Preparing")), later(616))
    count, why = watch.allowance(wish(), later(616))
    assert count == 0
    assert "one is on its way" in why
    assert watch.allowance(wish(), later(616 + 600))[0] == 1, "it is not waited for for ever"
    watch.look(see(*ill, node(9, Status="Failed", StatusMessage="script")), later(700))
    assert watch.document.breaker.state is BreakerState.TRYING
    assert watch.allowance(wish(), later(700))[0] == 1


@pytest.mark.parametrize(("spot", "state"), [(True, BreakerState.CLOSED), (False, BreakerState.OPEN)])
def test_spot_nodes_that_are_taken_back_are_no_sign_of_illness(
    see: Callable[..., Inventory], node: Make, spot: bool, state: BreakerState
) -> None:
    """Being taken away is what spot does; of others, so many at once that we did not end are."""
    watch, leaving = Watch(), {"Status": "Terminating", "TargetState": "Terminated"}
    facts = {"Template": "worker-spot" if spot else "worker", "Interruptible": spot}
    watch.look(see(*(node(i, **facts) for i in range(8))), NOON)
    watch.look(see(*(node(i, **facts, **leaving) for i in range(8))), later(15))
    assert watch.document.breaker.state is state
