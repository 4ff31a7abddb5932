"""Whose turn it is on a full cluster, and what the hosts are told that are kept for who is first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import msgspec
import pytest

from autoscaler_app.passes.decide.decision import decide
from autoscaler_app.passes.plan import KeepReason, Plan
from autoscaler_app.passes.snapshot import JobSeen, QueueSeen, Snapshot
from scalelib.meant import waiting_for
from tests.unit.autoscaler_app.conftest import NOW, host, node

Make = Callable[..., Snapshot]
PAIR = QueueSeen(queue="pair", constraints={"ncpus": 2}, node_count=2, waiting=1)


def full(seen: Snapshot) -> Snapshot:
    """The cluster may have no more nodes than it has."""
    return msgspec.structs.replace(seen, cluster={**seen.cluster, "maxCount": len(seen.cluster["nodes"])})


def single(name: str, **changes: object) -> QueueSeen:
    return QueueSeen(queue=name, constraints={"ncpus": 2}, waiting=1, **changes)  # type: ignore[arg-type]


def told(plan: Plan) -> dict[str, tuple[str, ...]]:
    return {given.hostname: given.queues for given in plan.join}


@pytest.mark.parametrize("first", ["a", "b", "c"])
@pytest.mark.parametrize("by_broker", [True, False])
@pytest.mark.parametrize("alike", [True, False])
def test_the_queue_whose_task_is_oldest_goes_first_or_that_which_went_longest_without(
    snapshot: Make, first: str, by_broker: bool, alike: bool
) -> None:
    ages = {name: 100.0 if name == first else 10.0 for name in ("a", "b", "c")}
    queues = [single(name, oldest_seconds=age if by_broker else None) for name, age in ages.items()]
    if not alike:
        queues = [
            msgspec.structs.replace(queue, constraints={"ncpus": 2, "memgb": 1 + i})
            for i, queue in enumerate(queues)
        ]
    seen = snapshot(nodes=[node(1)], hosts=[host(1)], queues=queues, waited={} if by_broker else ages)
    plan = decide(full(seen)).plan
    assert told(plan) == {"ip-1": (first,)}
    assert {each.job for each in plan.unserved} == set(ages) - {first}


def test_hosts_that_are_kept_for_a_gang_consume_nothing_that_came_later(snapshot: Make) -> None:
    """One is free, on the other a single task still runs: neither takes another one."""
    seen = snapshot(
        nodes=[node(1), node(2)],
        hosts=[host(1, queues=("late",)), host(2, queues=("late",), running=1)],
        queues=[msgspec.structs.replace(PAIR, oldest_seconds=60), single("late", oldest_seconds=30)],
        jobs=[JobSeen(name="late on ip-2", constraints={"ncpus": 2}, executing_hostnames=("ip-2",))],
    )
    decision = decide(full(seen))
    plan = decision.plan
    assert told(plan) == {"ip-1": (), "ip-2": ()}
    assert [each.reason for each in plan.keep] == [KeepReason.HELD, KeepReason.RUNNING]
    assert plan.keep[0].detail == "kept for pair, which came first"
    assert (plan.gangs, plan.fence, plan.launch) == ((), (), ())
    assert decision.needed == {"id-1", "id-2"}
    # Who was not first is served as soon as that has its turn: with the older task, by both.
    older = [PAIR, msgspec.structs.replace(single("late", oldest_seconds=90), waiting=2)]
    assert told(decide(full(msgspec.structs.replace(seen, queues=tuple(older)))).plan) == {}


def test_how_long_a_queue_went_without_is_remembered_until_it_gets_something(snapshot: Make) -> None:
    queues = [single("a"), msgspec.structs.replace(single("b"), constraints={"ncpus": 1}, waiting=3)]
    seen = full(snapshot(nodes=[node(1)], hosts=[host(1)], queues=queues, waited={"b": 50.0}))
    fact = decide(seen).meant
    later = NOW + timedelta(seconds=10)
    # `b` got two of three: its time begins anew. `a` got nothing.
    assert waiting_for(fact, later) == {"a": timedelta(seconds=10), "b": timedelta(seconds=10)}
    again = msgspec.structs.replace(seen, waited={"a": 40.0})
    assert waiting_for(decide(again).meant, later) == {"b": timedelta(seconds=10)}
