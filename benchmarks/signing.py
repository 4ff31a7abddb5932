"""What signing costs at a thousand nodes: on a node, and in the control worker.

The account of a node of sixteen tasks and twenty queues is sealed, and judged by a trust in which a thousand
nodes are bound. However busy they are, the pace lets a thousand nodes tell fifty accounts a second (Traffic):
that and the double are reckoned. The load of the machine is printed with it: it makes all of this slower.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from autoscaler_app.listening.activity import Activity
from autoscaler_app.listening.trust import Trust
from autoscaler_app.memory.state import State
from autoscaler_app.passes.act.pace import REPORTS_A_SECOND
from benchmarks import Measurement
from celery_resources.node.sealing import Sealing
from celery_resources.trust.keys import KeyPair
from scalelib.node import Node, NodeId, NodeState

NODES = 1_000
ROUNDS = 4
"""Accounts of each node."""
TASKS, QUEUES = 16, 20
RATES = (REPORTS_A_SECOND, 2 * REPORTS_A_SECOND)
"""Accounts a second."""
EVENT = {"type": "worker-resources", "utcoffset": 0, "clock": 1, "pid": os.getpid()}


def measure() -> Iterator[Measurement]:
    """Microseconds of processor for one account, and what that makes a second."""
    with tempfile.TemporaryDirectory() as name, closing(State(Path(name) / "state.db")) as state:
        folder = Path(name)
        trust = Trust(state, lambda: KeyPair(bytes(32)), settling=timedelta())
        sealings = [_sealing(folder, number) for number in range(NODES)]
        payloads = [_payload(number) for number in range(NODES)]
        now = datetime.now(UTC)
        for number in range(NODES):
            trust.event(_event(sealings[number].account(payloads[number]), number), now)
        trust.know([_node(number) for number in range(NODES)], now)

        sealed: list[dict[str, Any]] = []
        sign = _each(
            lambda: sealed.extend(
                s.account(p) for _ in range(ROUNDS) for s, p in zip(sealings, payloads, strict=True)
            )
        )
        yield _row("a node signs an account", "processor time, mean", sign, "µs")
        plain = [_event(p, number) for number, p in enumerate(payloads)] * ROUNDS
        signed = [_event(_across(p), number % NODES) for number, p in enumerate(sealed)]

        activity = Activity()
        heard = _each(lambda: [activity.apply(event, now) for event in plain])
        yield _row("an account is taken, unsigned", "processor time, mean", heard, "µs")
        verified = _each(lambda: _believed(trust, signed, now, expected=len(signed)))
        yield _row("an account is judged", "processor time, mean", verified, "µs")
        logging.disable(logging.WARNING)  # each host has a line
        forged = [{**event, "fenced": True} for event in signed]
        refused = _each(lambda: _believed(trust, forged, now, expected=0))
        yield _row("a forged one is refused", "processor time, mean", refused, "µs")
        unsigned = _each(lambda: _believed(trust, plain, now, expected=0))
        logging.disable(logging.NOTSET)
        yield _row("an unsigned one is refused", "processor time, mean", unsigned, "µs")

    for rate in RATES:
        what = f"{NODES} nodes, {rate} accounts a second"
        yield _row(what, "processor of each node", 100 * sign * rate / NODES / 1e6, "%", 1)
        yield _row(what, "processor of the control side", 100 * verified * rate / 1e6, "%", 10)
    more = len(json.dumps(sealed[0])) - len(json.dumps(payloads[0]))
    yield _row("an account", "longer by", more, "bytes")
    yield _row("machine", "load, 1 min", os.getloadavg()[0], "")


def _believed(trust: Trust, events: list[dict[str, Any]], now: datetime, *, expected: int) -> None:
    believed = sum(trust.event(event, now) is not None for event in events)
    if believed != expected:
        raise AssertionError(f"{believed} of {len(events)} accounts were believed; {expected} would be right")


def _each(work: Callable[[], object]) -> float:
    """Microseconds of processor time for each of the accounts."""
    began = time.process_time()
    work()
    return (time.process_time() - began) * 1e6 / (NODES * ROUNDS)


def _row(name: str, metric: str, value: float, unit: str, target: float | None = None) -> Measurement:
    return Measurement(name=name, metric=metric, value=value, unit=unit, target=target)


def _sealing(folder: Path, number: int) -> Sealing:
    mine = folder / str(number)
    return Sealing(mine, _nodename(number), None, random=lambda size: number.to_bytes(size, "big"))


def _nodename(number: int) -> str:
    return f"celery@node-{number}"


def _node(number: int) -> Node:
    return Node(
        id=NodeId(f"id-{number}"),
        name=f"worker-{number}",
        nodearray="worker",
        vm_size="Standard_F16s_v2",
        bucket_id="b",
        state=NodeState.READY,
        status="Ready",
        hostname=f"node-{number}",
    )


def _event(payload: dict[str, Any], number: int) -> dict[str, Any]:
    return {**payload, **EVENT, "hostname": _nodename(number), "timestamp": time.time()}


def _across(payload: dict[str, Any]) -> dict[str, Any]:
    arrived: dict[str, Any] = json.loads(json.dumps(payload))
    return arrived


def _payload(number: int) -> dict[str, Any]:
    queues = [f"res:memgb={n}:ncpus=1" for n in range(1, QUEUES + 1)]
    running = [
        {
            "id": f"{number:08}-0000-0000-0000-{n:012}",
            "name": "app.work",
            "queue": queues[n],
            "started": time.time(),
        }
        for n in range(TASKS)
    ]
    return {
        "nodename": _nodename(number),
        "total": {"ncpus": 16, "memgb": 32.0, "pcpus": 8, "ngpus": 0},
        "free": {"ncpus": 0, "memgb": 3.5, "pcpus": 0, "ngpus": 0},
        "running": running,
        "ended": {queue: [17, 170.25] for queue in queues},
        "held": [],
        "scheduled": 0,
        "queues": queues,
        "fenced": False,
        "fence_reason": "",
        "gang": None,
        "returned": 0,
        "properties": {"node.vm_size": "Standard_F16s_v2", "node.nodearray": "worker", "node.spot": True},
        "pace": 16.0,
        "seq": 1,
        "started": time.time(),
    }
