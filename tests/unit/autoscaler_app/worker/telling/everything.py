"""Facts of which every metric is made, for the tests of what is said about metrics elsewhere."""

from __future__ import annotations

from datetime import timedelta

from autoscaler_app.memory import tally
from autoscaler_app.memory.stories.budget import SPANS, Spending
from autoscaler_app.memory.tally import Tally
from autoscaler_app.passes.plan import Plan, Price, Unserved
from autoscaler_app.passes.report import BucketSaw, DrainSaw, Hearing, QueueSaw, Report, Saw
from autoscaler_app.worker.telling.metrics import Facts
from scalelib.demand import UnservedReason
from tests.unit.autoscaler_app.world import NOON


def full() -> Facts:
    """As much of everything as there can be."""
    count = tally.MOST_KINDS + 50
    counted = Tally(launched={"a/small": 2, "a/large/spot": 1}, gone={"idle": 1})
    counted.know({f"q{i}" for i in range(count)}, [f"q{i}" for i in range(count)])
    counted.count_tasks({"q1": 4, f"q{count - 1}": 3, f"q{count - 2}": 2}, {"q1": 1})
    queues = tuple(
        QueueSaw(queue=f"q{i}", waiting=i, running=1, held=1, oldest_seconds=i, slots=2, run_seconds=3)
        for i in range(count)
    )
    buckets = (
        BucketSaw(nodearray="a", vm_size="small", left=7, nodes={"ready": 3, "booting": 1}),
        BucketSaw(nodearray="a", vm_size="large", spot=True, left=0, set_aside=True),
    )
    drains = (
        DrainSaw(node="n1", stage="fenced", seconds=1000, is_stuck=True),
        DrainSaw(node="n2", stage="chosen", seconds=10, is_stuck=False),
    )
    numbers = dict.fromkeys(("connections", "workers", "coming", "events", "rejected", "dropped"), 1)
    hearing = Hearing(connected=True, lag_seconds=0.1, evicted=3, gaps=4, stale=5, **numbers)
    budgets = tuple(
        Spending(span=span, allowed=10.0, spent=3.0, until=NOON, stops=True, currency="EUR") for span in SPANS
    )
    saw = Saw(
        budgets=budgets,
        queues=queues,
        buckets=buckets,
        drains=drains,
        hold="the breaker is open",
        hearing=hearing,
    )
    plan = Plan(
        price_per_hour=Price(before=1.5, added=0.5),
        decided_by="greedy",
        planning_seconds=0.01,
        unserved=tuple(
            Unserved(job="j", count=i + 1, reason=reason.value, detail="")
            for i, reason in enumerate(UnservedReason)
        ),
    )
    newest = Report(number=41, started=NOON, seconds=0.5, saw=saw, plan=plan)
    return Facts(newest=newest, now=NOON + timedelta(seconds=1), tally=counted)
