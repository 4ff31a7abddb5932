"""What a control side in the shadow would have done, added up beside what is. Pure.

Nothing that it decides is done, so each pass decides most of it again. A launch counts when it is wanted and
was not before, a node as ended when it would be let go and was not before. Once somebody else has launched or
ended it, it is a fact, and wanted no more.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

import msgspec

from autoscaler_app.memory.stories.budget import money
from autoscaler_app.passes.plan import Plan
from autoscaler_app.passes.report import Saw, Shadow

SHADOW = "shadow"
"""Name of the fact that holds what has been added up."""


def recall(fact: Any) -> Shadow | None:
    """What was added up so far."""
    return None if fact is None else msgspec.convert(fact, Shadow, strict=False)


def added_up(before: Shadow | None, plan: Plan, saw: Saw, now: datetime) -> Shadow:
    """With one more pass."""
    going = {entry.node_id for entry in plan.delete} | {
        node.node_id for node in saw.nodes if node.node in {entry.node for entry in plan.fence}
    }
    saved = sum(node.price_per_hour for node in saw.nodes if node.node_id in going)
    wanted = Counter[str]()
    for launch in plan.launch:
        wanted[f"{launch.nodearray}/{launch.vm_size}{' spot' * launch.spot}"] += launch.count
    before = before or Shadow(since=now, until=now)
    hours = max(0.0, (now - before.until).total_seconds()) / 3600
    return Shadow(
        since=before.since,
        until=now,
        launched=before.launched + (wanted - Counter(before.wanted)).total(),
        ended=before.ended + len(going - set(before.going)),
        cost=before.cost + before.per_hour * hours,
        cost_is=before.cost_is + before.per_hour_is * hours,
        per_hour=plan.price_per_hour.before + plan.price_per_hour.added - saved,
        per_hour_is=plan.price_per_hour.before,
        wanted=dict(sorted(wanted.items())),
        going=tuple(sorted(going)),
    )


def told(shadow: Shadow, currency: str = "") -> str:
    """In a line, for people."""
    cost, is_, hourly, hourly_is = (
        money(amount, currency, places=3)
        for amount in (shadow.cost, shadow.cost_is, shadow.per_hour, shadow.per_hour_is)
    )
    return (
        f"in the shadow since {shadow.since:%Y-%m-%d %H:%M:%S}Z nothing is done; it would have launched "
        f"{shadow.launched} and ended {shadow.ended}, and cost {cost} beside {is_}; now {hourly} per hour "
        f"beside {hourly_is}"
    )
