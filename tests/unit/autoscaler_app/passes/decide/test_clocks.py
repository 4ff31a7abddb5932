"""The boot clock starts when a node begins to boot, whatever it was before; a cluster must be started."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from autoscaler_app.passes.decide.decision import decide
from autoscaler_app.passes.plan import DeleteReason
from autoscaler_app.passes.snapshot import QueueSeen, Snapshot
from tests.unit.autoscaler_app.conftest import LONG_AGO, NOW, node, times

Make = Callable[..., Snapshot]
WORK = [QueueSeen(queue="celery", waiting=2)]
BOOTS = {"Status": "Acquiring", "Hostname": "", "PrivateIp": ""}


def test_a_machine_that_was_started_from_deallocated_a_moment_ago_is_kept_and_counted_on(
    snapshot: Make,
) -> None:
    began = {"id-1": times(created=NOW - timedelta(days=3), booting=NOW)}
    plan = decide(snapshot(nodes=[node(1, **BOOTS)], history=began, queues=WORK)).plan
    assert plan.delete == ()
    assert plan.launch == ()
    (kept,) = plan.keep
    assert kept.jobs == {"celery": 2}


def test_one_that_was_ready_once_and_hangs_in_acquiring_is_late_like_any_other(snapshot: Make) -> None:
    hangs = {"id-1": times(created=NOW - timedelta(days=3), ready=NOW - timedelta(days=3), booting=LONG_AGO)}
    plan = decide(snapshot(nodes=[node(1, **BOOTS)], history=hangs, queues=WORK)).plan
    assert [entry.reason for entry in plan.delete] == [DeleteReason.BOOT_TIMEOUT]
    assert sum(launch.count for launch in plan.launch) == 1


@pytest.mark.parametrize(
    "state",
    [
        {"state": "Off", "targetState": ""},
        {"state": "Terminated", "targetState": "Terminated"},
        {"state": "Started", "targetState": "Terminated"},
        {"state": "Deallocated", "targetState": "deallocated"},
    ],
)
def test_a_cluster_that_is_not_started_plans_no_launch_and_says_so(
    snapshot: Make, state: dict[str, Any]
) -> None:
    seen = snapshot(queues=WORK)
    plan = decide(msgspec.structs.replace(seen, cluster={**seen.cluster, **state})).plan
    assert plan.launch == ()
    (left,) = plan.unserved
    assert (left.reason, left.count) == ("set-aside", 2)
    assert "start it" in left.detail


def test_one_that_is_starting_may_grow(snapshot: Make) -> None:
    seen = snapshot(queues=WORK)
    starting = {**seen.cluster, "state": "Starting", "targetState": "started"}
    assert decide(msgspec.structs.replace(seen, cluster=starting)).plan.launch != ()
