"""Pauses of a part: growth or shrinking, one nodearray, one queue."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from autoscaler_app.memory.orders import Orders, Pause
from autoscaler_app.passes.decide.decision import decide
from autoscaler_app.passes.plan import KeepReason
from autoscaler_app.passes.snapshot import QueueSeen, Snapshot, TimesSeen
from tests.unit.autoscaler_app.conftest import LONG_AGO, NOW, host, node

Make = Callable[..., Snapshot]
IDLE = TimesSeen(created=LONG_AGO, ready=LONG_AGO, last_active=LONG_AGO, last_needed=LONG_AGO)
WAITS = QueueSeen(queue="celery", waiting=4)


def pausing(**facts: object) -> Orders:
    return Orders(pauses=(Pause(who="ann", **facts),))  # type: ignore[arg-type]


def test_where_growth_is_paused_nodes_still_go_and_where_shrinking_is_they_stay(snapshot: Make) -> None:
    facts = {"nodes": [node(1)], "hosts": [host(1)], "history": {"id-1": IDLE}}
    plan = decide(snapshot(**facts, orders=pausing(shrinking=False))).plan
    assert [each.node for each in plan.fence] == ["worker-1"]
    assert decide(snapshot(queues=[WAITS], orders=pausing(shrinking=False))).plan.launch == ()
    plan = decide(snapshot(**facts, orders=pausing(growth=False))).plan
    assert (plan.fence, [each.reason for each in plan.keep]) == ((), [KeepReason.PAUSED])
    assert decide(snapshot(queues=[WAITS], orders=pausing(growth=False))).plan.launch


def test_where_shrinking_is_paused_what_was_fenced_stays_as_it_is_and_failed_nodes_too(
    snapshot: Make,
) -> None:
    facts = {"nodes": [node(1), node(2, Status="Failed")], "hosts": [host(1, fenced=True)]}
    plan = decide(snapshot(**facts, history={"id-1": IDLE}, orders=pausing(growth=False))).plan
    assert (plan.delete, {each.reason for each in plan.keep}) == ((), {KeepReason.PAUSED})


def test_a_pause_of_one_nodearray_says_so_where_work_has_no_place(snapshot: Make) -> None:
    plan = decide(snapshot(queues=[WAITS], orders=pausing(nodearray="Worker"))).plan
    assert plan.launch == ()
    ((reason, detail),) = {(each.reason, each.detail) for each in plan.unserved}
    assert (reason, "paused by ann" in detail) == ("set-aside", True)
    assert decide(snapshot(queues=[WAITS], orders=pausing(nodearray="other"))).plan.launch


def test_for_a_queue_whose_growth_is_paused_nothing_is_bought_and_room_is_used(snapshot: Make) -> None:
    orders = pausing(queue="celery", shrinking=False)
    other = QueueSeen(queue="other", constraints={"ncpus": 2}, waiting=1)
    alone = decide(snapshot(queues=[WAITS], orders=orders)).plan
    assert (alone.launch, [(u.reason, u.count) for u in alone.unserved]) == ((), [("paused", 4)])
    facts = {"nodes": [node(1)], "hosts": [host(1)], "orders": orders}
    plan = decide(snapshot(queues=[WAITS, other], **facts)).plan
    (kept,) = plan.keep
    assert kept.jobs, "the room that is there is used"
    assert not any("celery" in launch.jobs for launch in plan.launch)
    paused = sum(u.count for u in plan.unserved if u.reason == "paused")
    assert paused == 4 - kept.jobs.get("celery", 0)


def test_a_pause_that_is_over_stops_nothing(snapshot: Make) -> None:
    seen = snapshot(queues=[WAITS], orders=pausing(until=NOW - timedelta(seconds=1)))
    assert decide(seen).plan.launch
