"""Remote-control commands that simulated workers obey, and how they answer."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from typing import Any

from simulated_nodes import gangs
from simulated_nodes.worker import SimWorker, amounts_of

Answer = dict[str, Any]
CHANGING = ("join", "fence", "unfence", "follow", "lead", "ready", "disband", "member_lost")
"""Commands after which a worker tells everybody how it stands."""


def answer(worker: SimWorker, method: str, arguments: Mapping[str, Any]) -> Any:
    """Obey, and say what a real worker would say."""
    command = _COMMANDS.get(method)
    if command is None:
        return {"error": f"a simulated worker does not know the command {method!r}"}
    try:
        return command(worker, **arguments)
    except (TypeError, AttributeError, KeyError) as error:
        return {"error": repr(error)}
    except ValueError as error:
        return {"error": str(error)}


def _join(worker: SimWorker, queues: Any = None) -> Answer:
    is_good = isinstance(queues, Mapping) and all(isinstance(value, Mapping) for value in queues.values())
    if not is_good:
        return {"error": f"join: queues must be {{queue: requirement}}, not {queues!r}"}
    worker.standing.joined = {name: _whole(value) for name, value in queues.items()}
    return {"ok": worker.account()}


def _whole(requirement: Mapping[str, Any]) -> Mapping[str, Any]:
    """Plain constraints are a requirement too."""
    parts = ("constraints", "node_count", "colocated", "exclusive")
    return requirement if any(part in requirement for part in parts) else {"constraints": requirement}


def _pace(worker: SimWorker, seconds: float) -> Answer:
    if isinstance(seconds, bool) or not 0 <= seconds < 86_400:
        raise ValueError(f"pace must be a number of seconds from 0 up, not {seconds!r}")
    worker.pace = float(seconds)
    # Those that are told together do not speak together ever after.
    worker.told_at = time.time() - random.uniform(0, seconds)
    return {"ok": worker.account()}


def _fence(worker: SimWorker, reason: str = "") -> Answer:
    worker.standing.fenced, worker.standing.fence_reason = True, reason
    return {"ok": worker.account()}


def _unfence(worker: SimWorker) -> Answer:
    worker.standing.fenced, worker.standing.fence_reason = False, ""
    return {"ok": worker.account()}


def _follow(worker: SimWorker, gang: str, members: Any) -> Answer:
    worker.standing.gang = gangs.follow(worker.standing.gang, gang, members)
    return {"ok": worker.account()}


def _lead(
    worker: SimWorker, gang: str, queue: str, members: Any, requirement: Any, lacks: Any = ()
) -> Answer:
    need = amounts_of(requirement.get("constraints", {}))
    if any(worker.total.get(name, 0) < amount for name, amount in need.items()):
        raise ValueError(f"this node has {worker.machine.resources()}: too little for {queue}")
    worker.standing.gang = gangs.lead(worker.standing.gang, gang, queue, members, requirement, lacks)
    return {"ok": worker.account()}


def _ready(worker: SimWorker, gang: str, members: Any) -> Answer:
    worker.standing.gang = gangs.ready(worker.standing.gang, gang, members)
    return {"ok": worker.account()}


def _disband(worker: SimWorker, gang: str) -> Answer:
    worker.standing.gang = gangs.disband(worker.standing.gang, gang)
    return {"ok": worker.account()}


def _member_lost(worker: SimWorker, gang: str, host: str) -> Answer:
    now = worker.standing.gang
    if now is None or now.id != gang or now.role != gangs.RUNS:
        raise ValueError(f"this node runs nothing for gang {gang}")
    # The fleet sees this and lets the task fail.
    worker.lost_member = host
    return {"ok": worker.account()}


def _resources(worker: SimWorker) -> Answer:
    return {"ok": worker.account()}


def _claims(worker: SimWorker) -> Answer:
    return {"ok": sorted(worker.running)}


def _ping(worker: SimWorker) -> Answer:
    return {"ok": "pong"}


def _shutdown(worker: SimWorker, msg: str = "") -> Answer:
    worker.leaving = True
    return {"ok": "shutting down"}


def _heartbeat(worker: SimWorker) -> None:
    """The event is the answer."""


def _active(worker: SimWorker, **ignored: Any) -> list[Answer]:
    return [
        {
            "id": job.id,
            "name": job.name,
            "args": [],
            "kwargs": {},
            "type": job.name,
            "hostname": worker.nodename,
            "time_start": job.started,
            "acknowledged": False,
            "delivery_info": {"exchange": "", "routing_key": job.queue, "priority": 0, "redelivered": False},
            "worker_pid": worker.pid,
        }
        for job in worker.running.values()
    ]


def _none(worker: SimWorker, **ignored: Any) -> list[Answer]:
    return []


def _active_queues(worker: SimWorker) -> list[Answer]:
    return [{"name": name, "routing_key": name} for name in (worker.queues if worker.is_open else ())]


def _stats(worker: SimWorker) -> Answer:
    return {
        "total": {"simulated": worker.processed},
        "pid": worker.pid,
        "clock": "0",
        "uptime": 0,
        "pool": {"implementation": "simulated", "max-concurrency": worker.machine.vcpus},
        "broker": {},
        "prefetch_count": worker.machine.vcpus,
    }


_COMMANDS: dict[str, Callable[..., Any]] = {
    "join": _join,
    "pace": _pace,
    "fence": _fence,
    "unfence": _unfence,
    "follow": _follow,
    "lead": _lead,
    "ready": _ready,
    "disband": _disband,
    "member_lost": _member_lost,
    "resources": _resources,
    "joined": _resources,
    "fenced": _resources,
    "claims": _claims,
    "ping": _ping,
    "shutdown": _shutdown,
    "heartbeat": _heartbeat,
    "active": _active,
    "reserved": _none,
    "scheduled": _none,
    "revoked": _none,
    "active_queues": _active_queues,
    "stats": _stats,
}
