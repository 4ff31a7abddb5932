"""Every state of a node has a deadline and a remedy."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cyclecloud_api.deadlines import Clocks, Lateness, Remedy, Stage, overdue, stage_of, tick
from cyclecloud_api.inventory import cloud_from_status
from scalelib.node import Node, NodeId

Make = Callable[..., dict[str, Any]]
Read = Callable[..., tuple[Node, ...]]
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
ONE = NodeId("node-1")


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.fixture
def read(status: Make) -> Read:
    """Nodes from records."""
    return lambda *records: cloud_from_status(status(nodes=list(records)), cluster="c", prices={}).nodes


@pytest.mark.parametrize(
    ("changes", "stage"),
    [
        ({"Status": "Acquiring"}, Stage.BOOTING),
        ({"Status": "Preparing"}, Stage.BOOTING),
        ({"Status": "Off"}, Stage.BOOTING),
        ({"Status": "Ready"}, Stage.UP),
        ({"Status": "Failed"}, Stage.FAILED),
        ({"Status": "Failed", "TargetState": "Terminated"}, Stage.FAILED),
        ({"Status": "Unavailable"}, Stage.FAILED),
        ({"Status": "Ready", "TargetState": "Terminated"}, Stage.LEAVING),
        ({"Status": "Preparing", "TargetState": "Terminated"}, Stage.LEAVING),
        ({"Status": "Terminating", "TargetState": "Terminated"}, Stage.LEAVING),
        ({"Status": "Stopping", "TargetState": "Deallocated"}, Stage.LEAVING),
        ({"Status": "Deallocated", "TargetState": "Deallocated"}, Stage.RESTING),
        ({"Status": "Off", "TargetState": "Terminated"}, Stage.RESTING),
        ({"Status": "Whatever"}, Stage.UNKNOWN),
    ],
)
def test_every_state_has_a_stage(read: Read, node: Make, changes: dict[str, Any], stage: Stage) -> None:
    assert stage_of(read(node(1, **changes))[0]) is stage


@pytest.mark.parametrize(
    ("changes", "seconds", "why", "remedy"),
    [
        ({"Status": "Acquiring"}, 1800, Lateness.BOOT, Remedy.REPORT),
        ({"Status": "Preparing"}, 1800, Lateness.BOOT, Remedy.REPORT),
        ({"Status": "Failed"}, 120, Lateness.FAILED, Remedy.REPORT),
        ({"Status": "Unavailable"}, 120, Lateness.FAILED, Remedy.REPORT),
        (
            {"Status": "Terminating", "TargetState": "Terminated"},
            1800,
            Lateness.LEAVING,
            Remedy.END_AGAIN,
        ),
        ({"Status": "Whatever"}, 600, Lateness.UNKNOWN, Remedy.REPORT),
    ],
)
def test_each_deadline_strikes_when_it_is_due_and_not_before(
    read: Read, node: Make, changes: dict[str, Any], seconds: float, why: Lateness, remedy: Remedy
) -> None:
    nodes = read(node(1, **changes))
    clocks = tick({}, nodes, NOON)
    clocks = tick(clocks, nodes, later(seconds - 1))
    assert overdue(clocks, nodes, later(seconds - 1)) == ()
    (late,) = overdue(clocks, nodes, later(seconds))
    assert (late.id, late.why, late.remedy, late.since) == (ONE, why, remedy, NOON)
    assert f"{seconds} s" in late.detail


@pytest.mark.parametrize("target", [None, "Terminated"])
def test_a_node_that_is_up_is_told_to_end_again_only_if_we_ended_it(
    read: Read, node: Make, target: str | None
) -> None:
    """Servers may leave TargetState out: that is no wish to end the node, and work may run there."""
    nodes = read(node(1, TargetState=target))
    clocks = tick({}, nodes, NOON)
    (late,) = overdue(clocks, nodes, later(1800))
    assert (late.why, late.remedy) == (Lateness.LEAVING, Remedy.REPORT)
    (late,) = overdue(clocks, nodes, later(1800), ended=[ONE])
    assert late.remedy is Remedy.END_AGAIN


def test_the_boot_is_one_stage_and_its_clock_is_not_set_back(read: Read, node: Make) -> None:
    acquiring, preparing = read(node(1, Status="Acquiring")), read(node(1, Status="Preparing"))
    clocks = tick(tick({}, acquiring, NOON), preparing, later(1000))
    assert clocks[ONE].since == NOON


def test_a_change_of_stage_starts_the_clock_anew(read: Read, node: Make) -> None:
    clocks = tick(tick({}, read(node(1, Status="Preparing")), NOON), read(node(1)), later(1000))
    assert clocks[ONE].since == later(1000)


@pytest.mark.parametrize("state", [{"Status": "Preparing"}, {"Status": "Failed"}, {"Status": "Terminating"}])
def test_protected_nodes_are_only_ever_reported(read: Read, node: Make, state: dict[str, str]) -> None:
    nodes = read(node(1, KeepAlive=True, **state))
    (late,) = overdue(tick({}, nodes, NOON), nodes, later(1e6))
    assert late.remedy is Remedy.REPORT
    assert "left alone" in late.detail


def test_a_node_that_is_not_listed_is_forgotten_at_the_second_look_and_nothing_is_to_be_done(
    read: Read, node: Make
) -> None:
    clocks: Clocks = tick({}, read(node(1)), NOON)
    for seconds in (15, 30):
        clocks = tick(clocks, (), later(seconds))
        assert clocks[ONE].stage is Stage.MISSING
        assert overdue(clocks, (), later(1e6)) == ()
    assert tick(clocks, (), later(45)) == {}


def test_a_node_that_comes_back_did_not_vanish(read: Read, node: Make) -> None:
    clocks = tick(tick(tick({}, read(node(1)), NOON), (), later(15)), read(node(1)), later(30))
    assert clocks[ONE].stage is Stage.UP


@pytest.mark.parametrize(
    ("changes", "ended"),
    [
        ({"Status": "Terminating", "TargetState": "Terminated"}, []),
        ({"Status": "Failed"}, []),
        ({}, [ONE]),
    ],
)
def test_a_node_that_was_to_go_did_not_vanish(
    read: Read, node: Make, changes: dict[str, str], ended: list[NodeId]
) -> None:
    clocks = tick({}, read(node(1, **changes)), NOON)
    assert tick(clocks, (), later(15), ended=ended) == {}


def test_names_do_not_matter_ids_do(read: Read, node: Make) -> None:
    """A new node under an old name starts its own clock."""
    clocks = tick({}, read(node(1, Status="Preparing")), NOON)
    clocks = tick(clocks, read(node(1, NodeId="another", Status="Preparing")), later(1000))
    assert clocks[NodeId("another")].since == later(1000)
