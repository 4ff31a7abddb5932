"""How many nodes may be on their way out at once, and when none is chosen."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoscaler_app.memory.orders import NodeOrder, Orders
from autoscaler_app.passes.decide.bounds.quiet import parse, quiet_until
from autoscaler_app.passes.decide.decision import decide
from autoscaler_app.passes.plan import KeepReason, Plan
from autoscaler_app.passes.snapshot import Snapshot, TimesSeen
from scalelib.errors import InvalidConfig
from tests.unit.autoscaler_app.conftest import LONG_AGO, NOW, host, node
from tests.unit.autoscaler_app.world import World

Make = Callable[..., Snapshot]
IDLE = TimesSeen(created=LONG_AGO, ready=LONG_AGO, last_active=LONG_AGO, last_needed=LONG_AGO)


def plan_of(snapshot: Make, stages: list[str], ours: dict[str, Any], held: int = 0) -> Plan:
    """Of idle nodes that are at these stages; the last few are held by a person."""
    count = len(stages)
    orders = {
        f"id-{n}": NodeOrder(what="hold", node=f"worker-{n}", who="ann", at=NOW)
        for n in range(count - held + 1, count + 1)
    }
    return decide(
        snapshot(
            nodes=[node(n + 1) for n in range(count)],
            hosts=[
                host(n + 1, stage=stage, running=int(stage == "fenced")) for n, stage in enumerate(stages)
            ],
            history={f"id-{n + 1}": IDLE for n in range(count)},
            config={"autoscaler": ours},
            orders=Orders(nodes=orders),
        )
    ).plan


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    stages=st.lists(st.sampled_from(["serving", "fenced", "leaving"]), min_size=1, max_size=8),
    most=st.integers(0, 4),
    share=st.floats(0.05, 1),
)
def test_no_more_than_may_be_are_ever_on_their_way_and_one_always_may_be(
    snapshot: Make, stages: list[str], most: int, share: float
) -> None:
    plan = plan_of(snapshot, stages, {"most_leaving": most, "most_leaving_share": share})
    going = sum(stage != "serving" for stage in stages)
    bounds = [most] if most else []
    bounds += [max(1, int(share * len(stages)))] if share < 1 else []
    may = min(bounds, default=len(stages))
    assert len(plan.fence) == min(stages.count("serving"), max(0, may - going))
    stay = [each for each in plan.keep if each.reason is KeepReason.BUDGET]
    assert len(stay) == stages.count("serving") - len(plan.fence)
    assert any("most_leaving" in each for each in plan.warnings) == bool(stay)


def test_when_one_is_gone_the_next_goes(snapshot: Make) -> None:
    ours = {"most_leaving": 1}
    assert plan_of(snapshot, ["leaving", "serving"], ours).fence == ()
    assert len(plan_of(snapshot, ["serving"], ours).fence) == 1


def test_one_that_a_person_holds_is_not_on_its_way(snapshot: Make) -> None:
    plan = plan_of(snapshot, ["serving", "fenced"], {"most_leaving": 1}, held=1)
    assert [each.node for each in plan.fence] == ["worker-1"]


@pytest.mark.parametrize(
    ("other", "ours", "may_go"),
    [
        ({"TargetState": "Terminated"}, {"most_leaving": 2}, 1),
        ({"Status": "Terminating"}, {"most_leaving": 2}, 1),
        ({"Status": "Off", "State": "Off", "TargetState": "Terminated"}, {"most_leaving": 2}, 2),
        ({"Status": "Off", "State": "Off", "TargetState": "Terminated"}, {"most_leaving_share": 0.5}, 1),
    ],
    ids=["the cloud ends it", "it is ending", "it is gone", "of those that are gone there is no share"],
)
def test_one_that_the_cloud_ends_is_on_its_way_until_it_is_gone(
    snapshot: Make, other: dict[str, Any], ours: dict[str, Any], may_go: int
) -> None:
    seen = snapshot(
        nodes=[*map(node, (1, 2, 3)), node(4, **other)],
        hosts=[host(n) for n in (1, 2, 3)],
        history={f"id-{n}": IDLE for n in (1, 2, 3)},
        config={"autoscaler": ours},
    )
    assert len(decide(seen).plan.fence) == may_go


def test_a_machine_that_is_none_of_ours_is_not_counted_whatever_becomes_of_it(world: World) -> None:
    """Of a cloud that lists others, too."""
    world.queues.waiting["celery"] = 4
    world.make_pass()
    world.boot()
    world.queues.waiting["celery"] = 0
    world.make_pass()
    world.go_on(301)
    other = list(world.cloud.machines.values())[1]
    other.state = "Terminating"
    config = {**world.control.settings.config, "autoscaler": {"most_leaving": 1}}
    seen = msgspec.structs.replace(world.sight().snapshot, config=config)
    assert len(decide(seen).plan.fence) == 0
    other.managed = False
    seen = msgspec.structs.replace(world.sight().snapshot, config=config)
    assert len(decide(seen).plan.fence) == 1


def test_in_quiet_hours_no_node_is_chosen_and_those_that_were_go_on(snapshot: Make) -> None:
    ours = {"quiet_hours": ["11:00-13:00"]}
    plan = plan_of(snapshot, ["serving", "left"], ours)
    assert (plan.fence, [each.reason for each in plan.keep]) == ((), [KeepReason.QUIET])
    assert [each.node for each in plan.delete] == ["worker-2"]
    assert len(plan_of(snapshot, ["serving"], {"quiet_hours": ["12:00-12:00", "13:00-14:00"]}).fence) == 0
    assert len(plan_of(snapshot, ["serving"], {"quiet_hours": ["13:00-14:00"]}).fence) == 1


SUNDAY = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("window", "hours", "ends"),
    [
        ("08:00-18:00", 8, 18),
        ("08:00-18:00", 18, None),
        ("22:00-06:00", 2, 6),
        ("sun 22:00-06:00", 2, None),
        ("sun 22:00-06:00", 23, 30),
        ("sat 22:00-06:00", 5, 6),
        ("mon-fri 08:00-18:00", 9, None),
        ("fri-mon 08:00-18:00", 9, 18),
        ("sat,sun 00:00-24:00", 9, 24),
    ],
)
def test_when_quiet_hours_end(window: str, hours: float, ends: float | None) -> None:
    until = quiet_until([window], "UTC", SUNDAY + timedelta(hours=hours))
    assert until == (None if ends is None else SUNDAY + timedelta(hours=ends))


def test_quiet_hours_are_those_of_their_zone() -> None:
    at = SUNDAY + timedelta(hours=13.5)
    assert quiet_until(["14:00-15:00"], "Europe/Berlin", at) is not None
    assert quiet_until(["14:00-15:00"], "UTC", at) is None


@pytest.mark.parametrize("wrong", ["8-18", "xyz 08:00-18:00", "08:61-18:00", "25:00-26:00", ""])
def test_what_is_no_quiet_hours_is_named_with_what_would_be_right(wrong: str) -> None:
    with pytest.raises(InvalidConfig, match="would be right"):
        parse(wrong)
