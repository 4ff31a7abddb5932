"""What becomes of each node, as a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from autoscaler_app.passes.decide.decision import decide
from autoscaler_app.passes.plan import DeleteReason, FenceReason, KeepReason, Plan
from autoscaler_app.passes.snapshot import (
    HostSeen,
    JobSeen,
    QueueSeen,
    Snapshot,
    TimesSeen,
)
from tests.unit.autoscaler_app.conftest import LONG_AGO, NOW, host, node, times

Make = Callable[..., Snapshot]
IDLE = times(last_active=LONG_AGO, last_needed=LONG_AGO)
SURPLUS = times(last_active=NOW, last_needed=LONG_AGO)
BUSY = [JobSeen(name="celery on ip-1", constraints={"ncpus": 1}, executing_hostnames=("ip-1",))]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One node, one host, and what is to become of it."""

    rule: str
    becomes: KeepReason | DeleteReason
    node: dict[str, Any] = field(default_factory=dict)
    host: HostSeen | None = field(default_factory=lambda: host(1))
    times: TimesSeen = field(default_factory=times)
    jobs: list[JobSeen] = field(default_factory=list)
    waiting: int = 0
    warm: int = 0
    """Slots to keep ready."""
    changes: dict[str, Any] = field(default_factory=dict)
    fenced: FenceReason | None = None
    unfenced: bool = False


CASES = [
    Case(rule="a node that was active a moment ago waits for its idle timeout", becomes=KeepReason.IDLE),
    Case(
        rule="an idle node past its timeout is fenced first",
        times=IDLE,
        becomes=KeepReason.DRAINING,
        fenced=FenceReason.IDLE,
    ),
    Case(
        rule="a node that ran something between two looks is not idle",
        times=times(last_active=LONG_AGO),
        host=host(1, worked_seconds_ago=299.0),
        becomes=KeepReason.IDLE,
    ),
    Case(
        rule="a node that ran something longer ago than its timeout is",
        times=times(last_active=LONG_AGO),
        host=host(1, worked_seconds_ago=300.0),
        becomes=KeepReason.DRAINING,
        fenced=FenceReason.IDLE,
    ),
    Case(
        rule="a fenced and empty node past its timeout goes",
        times=IDLE,
        host=host(1, fenced=True),
        becomes=DeleteReason.IDLE,
    ),
    Case(
        rule="a fenced node whose last task runs is waited for",
        times=IDLE,
        host=host(1, fenced=True, running=1),
        jobs=BUSY,
        becomes=KeepReason.DRAINING,
    ),
    Case(
        rule="a fenced node that holds a message is waited for",
        times=IDLE,
        host=host(1, fenced=True, held=1),
        becomes=KeepReason.DRAINING,
    ),
    Case(
        rule="demand that comes back opens a fenced node",
        times=IDLE,
        host=host(1, fenced=True),
        waiting=1,
        becomes=KeepReason.MATCHED,
        unfenced=True,
    ),
    Case(
        rule="a node that is about to be evicted is going, whatever waits",
        host=host(1, fenced=True, evicted=True),
        waiting=1,
        becomes=KeepReason.LEAVING,
    ),
    Case(
        rule="a node that was to be evicted, and was not, goes once it is idle",
        times=IDLE,
        host=host(1, fenced=True, evicted=True),
        waiting=1,
        becomes=DeleteReason.IDLE,
    ),
    Case(
        rule="a node that was to be evicted, and was not, is waited for while its last task runs",
        times=IDLE,
        host=host(1, fenced=True, evicted=True, running=1),
        jobs=BUSY,
        becomes=KeepReason.DRAINING,
    ),
    Case(
        rule="a node whose workers left cleanly goes, whatever waits",
        times=IDLE,
        host=host(1, fenced=True, stage="left"),
        becomes=DeleteReason.IDLE,
    ),
    Case(
        rule="a node whose workers are shutting down is waited for",
        times=IDLE,
        host=host(1, fenced=True, stage="leaving"),
        becomes=KeepReason.DRAINING,
    ),
    Case(rule="work in the plan keeps a node", times=IDLE, waiting=1, becomes=KeepReason.MATCHED),
    Case(
        rule="a running task keeps a node",
        times=IDLE,
        host=host(1, running=1),
        jobs=BUSY,
        becomes=KeepReason.RUNNING,
    ),
    Case(
        rule="a host that is alive and hungry is fenced, so that it is replaced",
        host=host(1, hungry_seconds=300.0),
        waiting=1,
        becomes=KeepReason.DRAINING,
        fenced=FenceReason.HUNGRY,
    ),
    Case(
        rule="a host that is alive and hungry is not opened again by the work that it does not take",
        host=host(1, hungry_seconds=300.0, fenced=True),
        waiting=1,
        becomes=DeleteReason.SURPLUS,
    ),
    Case(
        rule="a host that is not known now keeps its node",
        times=IDLE,
        host=host(1, heard_seconds_ago=None),
        becomes=KeepReason.UNKNOWN,
    ),
    Case(
        rule="a fenced host that is not known now keeps its node",
        times=IDLE,
        host=host(1, fenced=True, heard_seconds_ago=None),
        becomes=KeepReason.UNKNOWN,
    ),
    Case(
        rule="a host that has not told anything for a while keeps its node",
        times=IDLE,
        host=host(1, heard_seconds_ago=100.0),
        becomes=KeepReason.UNKNOWN,
    ),
    Case(
        rule="a host that fell silent for good is replaced",
        host=host(1, heard_seconds_ago=601.0, running=1),
        becomes=DeleteReason.SILENT,
    ),
    Case(
        rule="a node that has just come up may take its time to join",
        host=None,
        times=times(ready=NOW - timedelta(seconds=100)),
        becomes=KeepReason.JOINING,
    ),
    Case(rule="a node that never joined is replaced", host=None, becomes=DeleteReason.NEVER_JOINED),
    Case(
        rule="a node that is booting is waited for",
        host=None,
        node={"Status": "Preparing", "Hostname": None},
        times=times(created=NOW, ready=None),
        becomes=KeepReason.BOOTING,
    ),
    Case(
        rule="a node that never became ready in time is replaced",
        host=None,
        node={"Status": "Preparing", "Hostname": None},
        times=times(ready=None),
        becomes=DeleteReason.BOOT_TIMEOUT,
    ),
    Case(
        rule="a node that never became ready in time and whose worker is heard is not",
        node={"Status": "Preparing"},
        times=times(ready=None),
        becomes=KeepReason.BOOTING,
    ),
    Case(
        rule="a node with KeepAlive that never became ready in time is not touched either",
        host=None,
        node={"Status": "Preparing", "Hostname": None, "KeepAlive": True},
        times=times(ready=None),
        becomes=KeepReason.KEEP_ALIVE,
    ),
    Case(
        rule="a node that is kept warm is not surplus, however long it was not needed",
        times=IDLE,
        warm=2,
        becomes=KeepReason.WARM,
    ),
    Case(
        rule="a fenced node that is to be kept warm is opened",
        times=IDLE,
        host=host(1, fenced=True),
        warm=2,
        becomes=KeepReason.WARM,
        unfenced=True,
    ),
    Case(
        rule="a node whose workers are shutting down is not opened, whatever waits",
        times=IDLE,
        host=host(1, fenced=True, stage="leaving"),
        waiting=1,
        becomes=KeepReason.DRAINING,
    ),
    Case(
        rule="a node whose workers are shutting down and that fell silent goes as silent",
        times=IDLE,
        host=host(1, fenced=True, stage="leaving", heard_seconds_ago=601.0),
        becomes=DeleteReason.SILENT,
    ),
    Case(
        rule="a node whose workers left cleanly is not silent, however long ago that was",
        times=IDLE,
        host=host(1, fenced=True, stage="left", heard_seconds_ago=9000.0),
        becomes=DeleteReason.IDLE,
    ),
    Case(
        rule="a host that is hungry for a while is given its time",
        host=host(1, hungry_seconds=179.0),
        waiting=1,
        becomes=KeepReason.MATCHED,
    ),
    Case(
        rule="a failed node whose worker holds a message is not cleaned up",
        node={"Status": "Failed", "State": "Failed"},
        host=host(1, held=1),
        becomes=KeepReason.BOOTING,
    ),
    Case(
        rule="a failed node whose worker was at work, and is not heard now, is cleaned up",
        node={"Status": "Failed", "State": "Failed"},
        host=host(1, running=1, heard_seconds_ago=None),
        becomes=DeleteReason.FAILED,
    ),
    Case(
        rule="while the circuit breaker is open what needs no certificate stays as well",
        host=None,
        node={"Status": "Failed", "State": "Failed"},
        changes={"hold": "half of the nodes failed"},
        becomes=KeepReason.HELD_BACK,
    ),
    Case(
        rule="a failed node is cleaned up",
        host=None,
        node={"Status": "Failed", "State": "Failed"},
        becomes=DeleteReason.FAILED,
    ),
    Case(
        rule="a failed node whose worker runs a task is not",
        node={"Status": "Failed", "State": "Failed"},
        host=host(1, running=1),
        jobs=BUSY,
        becomes=KeepReason.BOOTING,
    ),
    Case(
        rule="a node that the cloud is ending is left to it",
        node={"TargetState": "Terminated"},
        times=IDLE,
        host=host(1, fenced=True),
        becomes=KeepReason.LEAVING,
    ),
    Case(
        rule="a node that is switched off is left to the cloud",
        host=None,
        node={"Status": "Off", "State": "Off", "Hostname": None},
        times=IDLE,
        becomes=KeepReason.LEAVING,
    ),
    Case(
        rule="a node with KeepAlive is never touched",
        node={"KeepAlive": True},
        times=IDLE,
        host=host(1, fenced=True),
        becomes=KeepReason.KEEP_ALIVE,
    ),
    Case(
        rule="during a pause nothing is done",
        times=IDLE,
        host=host(1, fenced=True),
        changes={"paused": True},
        becomes=KeepReason.PAUSED,
    ),
    Case(
        rule="while the circuit breaker is open nothing is deleted",
        times=IDLE,
        host=host(1, fenced=True),
        changes={"hold": "half of the nodes failed"},
        becomes=KeepReason.HELD_BACK,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_fate_of_a_node(snapshot: Make, case: Case) -> None:
    seen = snapshot(
        nodes=[node(1, **case.node)],
        hosts=[case.host] if case.host else [],
        history={"id-1": case.times},
        jobs=case.jobs,
        queues=[QueueSeen(queue="celery", waiting=case.waiting)],
        config={"warm_pool": {"minimum": case.warm}} if case.warm else {},
        **case.changes,
    )
    plan = decide(seen).plan
    assert fate(plan, "id-1") == case.becomes
    assert [entry.reason for entry in plan.fence] == ([case.fenced] if case.fenced else [])
    assert bool(plan.unfence) == case.unfenced


def fate(plan: Plan, node_id: str) -> KeepReason | DeleteReason:
    """The one thing that the plan says of a node."""
    (reason,) = [entry.reason for entry in (*plan.keep, *plan.delete) if entry.node_id == node_id]
    return reason
