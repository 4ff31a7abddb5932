"""Snapshots for tests of the decision: a small cloud, and hosts and clocks as a test wants them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from autoscaler_app.passes.snapshot import HostSeen, JobSeen, QueueSeen, Snapshot, TimesSeen
from tests.unit.autoscaler_app.world import world

__all__ = ["world"]

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=1)


def bucket(size: str, cores: int, memory: float, active: int = 0) -> dict[str, Any]:
    """A bucket of a status answer with room for 20 nodes."""
    return {
        "bucketId": f"bucket-{size}",
        "definition": {"machineType": size},
        "virtualMachine": {
            "vcpuCount": cores,
            "pcpuCount": cores,
            "gpuCount": 0,
            "memory": memory,
            "infiniband": False,
        },
        "valid": True,
        "invalidReason": "",
        "maxCount": 20,
        "maxCoreCount": 20 * cores,
        "activeCount": active,
        "activeCoreCount": active * cores,
        "availableCount": 20 - active,
        "availableCoreCount": (20 - active) * cores,
        "quotaCount": 100,
        "quotaCoreCount": 100 * cores,
        "consumedCoreCount": active * cores,
        "maxPlacementGroupSize": 40,
        "maxPlacementGroupCoreSize": 40 * cores,
        "placementGroups": [],
        "lastCapacityFailure": -1.0,
    }


def node(number: int, **changes: Any) -> dict[str, Any]:
    """A node record: a ready two-core machine unless said otherwise."""
    return {
        "Name": f"worker-{number}",
        "NodeId": f"id-{number}",
        "Template": "worker",
        "MachineType": "S2",
        "Status": "Ready",
        "State": "Started",
        "TargetState": "Started",
        "Hostname": f"ip-{number}",
        "PrivateIp": f"10.0.0.{number}",
        "InstanceId": f"vm-{number}",
        **changes,
    }


def host(number: int, **changes: Any) -> HostSeen:
    """A host that was heard a second ago and consumes the plain queue."""
    facts = {
        "hostname": f"ip-{number}",
        "total": {"ncpus": 2, "memgb": 4},
        "heard_seconds_ago": 1.0,
        "queues": ("celery",),
    }
    return HostSeen(**{**facts, **changes})  # type: ignore[arg-type]


def times(**changes: datetime | None) -> TimesSeen:
    """The clocks of a node that has been up for an hour and was active until a moment ago."""
    facts = {"created": LONG_AGO, "ready": LONG_AGO, "last_active": NOW, "last_needed": NOW}
    return TimesSeen(**{**facts, **changes})  # type: ignore[arg-type]


@pytest.fixture
def snapshot() -> Callable[..., Snapshot]:
    """Make a snapshot of these nodes, hosts, clocks, queues and jobs."""

    def snapshot(
        nodes: list[dict[str, Any]] | None = None,
        hosts: list[HostSeen] | None = None,
        history: dict[str, TimesSeen] | None = None,
        queues: list[QueueSeen] | None = None,
        jobs: list[JobSeen] | None = None,
        autoscaler: dict[str, Any] | None = None,
        config: dict[str, Any] | None = None,
        **changes: Any,
    ) -> Snapshot:
        nodes = nodes or []
        active = [n for n in nodes if n["MachineType"] == "S2"]
        cluster = {
            "state": "Started",
            "targetState": "Started",
            "maxCount": 40,
            "maxCoreCount": 400,
            "nodearrays": [
                {
                    "name": "worker",
                    "maxCount": 30,
                    "maxCoreCount": 300,
                    "nodearray": {
                        "Name": "worker",
                        "Region": "westeurope",
                        "SubnetId": "a/b/c",
                        "MachineType": ["S2", "S8"],
                    },
                    "buckets": [bucket("S2", 2, 4.0, len(active)), bucket("S8", 8, 32.0)],
                }
            ],
            "nodes": nodes,
        }
        settings = {
            "cluster_name": "celery",
            "idle_timeout": 300,
            "boot_timeout": 1800,
            "prices": {"S2": 0.1, "S8": 0.5},
            # So that a busy machine decides nothing.
            "solver_seconds": 60,
            "autoscaler": autoscaler or {},
            **(config or {}),
        }
        return Snapshot(
            version=1,
            now=NOW,
            config=settings,
            cluster=cluster,
            hosts=tuple(hosts or ()),
            history=history if history is not None else {n["NodeId"]: times() for n in nodes},
            queues=tuple(queues if queues is not None else [QueueSeen(queue="celery")]),
            jobs=tuple(jobs or ()),
            **changes,
        )

    return snapshot
