"""A budget warns; told to, it stops growth and nothing else, until the next day or until it is raised."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from autoscaler_app import settings as settings_module
from autoscaler_app.cli import health
from autoscaler_app.memory.stories.budget import begins, ends, money
from autoscaler_app.passes import snapshot
from autoscaler_app.passes.decide.decision import decide
from autoscaler_app.passes.plan import Plan
from scalelib.errors import InvalidConfig
from tests.unit.autoscaler_app.world import NOON, World


def allow(world: World, **keys: Any) -> None:
    config = {**world.control.settings.config, "autoscaler": keys}
    section = settings_module.read_autoscaler(config, "here")
    world.control.settings = msgspec.structs.replace(
        world.control.settings, config=config, autoscaler=section
    )


def spend(world: World, hours: float = 2.0) -> None:
    """Two machines at 1 per hour; then more is wanted."""
    world.queues.waiting["celery"] = 4
    world.make_pass()
    for host in world.boot():
        host.running = [f"of-{host.name}"]
    world.queues.waiting["celery"] = 0
    world.make_pass()
    world.go_on(hours * 3600)
    world.make_pass()
    world.queues.waiting["celery"] = 6


def launched(plan: Plan) -> int:
    return sum(launch.count for launch in plan.launch)


def test_a_budget_that_is_used_up_stops_growth_and_says_why(world: World) -> None:
    allow(world, budget_per_day=3.0, budget_stops=True, currency="EUR")
    spend(world)
    made = world.make_pass()
    assert made.plan is not None
    assert made.saw is not None
    assert launched(made.plan) == 0
    assert len(world.cloud.machines) == 2, "what is there works on"
    (entry,) = [entry for entry in made.plan.unserved if entry.reason == "no-money"]
    assert entry.job == "celery"
    assert entry.count > 0
    assert "of 3.00 EUR are spent this day" in entry.detail
    assert "nothing is launched before 2026-11-23 unless budget_per_day is raised" in entry.detail
    assert entry.detail in made.saw.warnings
    assert made.plan.price_per_hour.added == 0
    code, line = health.check(made, world.now, timedelta(seconds=15), paused=(), worker=None)
    assert code == health.WARNING
    assert "budget" in line


def test_without_being_told_to_it_only_warns(world: World) -> None:
    allow(world, budget_per_day=3.0)
    spend(world)
    made = world.make_pass()
    assert made.plan is not None
    assert launched(made.plan) > 0
    assert any("machines are launched all the same" in warning for warning in made.plan.warnings)


def test_it_warns_before_it_is_used_up(world: World) -> None:
    allow(world, budget_per_day=4.5, budget_stops=True)
    spend(world)
    plan = world.plan()
    assert launched(plan) > 0
    assert any("nearly used up" in warning for warning in plan.warnings)
    allow(world, budget_per_day=40.0, budget_stops=True)
    assert not any("budget" in warning for warning in world.plan().warnings)


def test_growth_that_a_budget_has_stopped_goes_on_when_the_next_day_begins(world: World) -> None:
    allow(world, budget_per_day=3.0, budget_stops=True)
    spend(world)
    assert launched(world.plan()) == 0
    world.go_on(10 * 3600)
    assert world.now.date() > NOON.date()
    assert launched(world.plan()) > 0


def test_growth_goes_on_when_the_budget_is_raised(world: World) -> None:
    allow(world, budget_per_month=3.0, budget_stops=True)
    spend(world)
    world.go_on(86_400)
    assert launched(world.plan()) == 0, "the month is the same"
    allow(world, budget_per_month=300.0, budget_stops=True)
    assert launched(world.plan()) > 0


def test_the_decision_can_be_replayed(world: World) -> None:
    allow(world, budget_per_day=3.0, budget_stops=True)
    spend(world)
    seen = world.sight().snapshot
    again = snapshot.decode(snapshot.encode(seen))
    assert again.spent == seen.spent
    assert decide(again).plan.unserved == decide(seen).plan.unserved


def test_what_a_month_has_cost_is_known_on_its_last_day(world: World) -> None:
    """Also where stories are kept for a day."""
    allow(world, stories_kept=86_400.0)
    first = datetime(2026, 12, 1, 0, 5, tzinfo=UTC)
    world.go_on((first - world.now).total_seconds())
    spend(world, hours=2.0)
    spent = world.control.stories.money_since(first)
    assert spent >= 3.9
    world.queues.waiting["celery"] = 0
    world.cloud.machines.clear()
    world.hosts.of.clear()
    world.go_on(30 * 86_400 + 60_000)
    world.make_pass()
    assert world.now.month == 12
    assert world.sight().snapshot.spent["month"] >= spent


@pytest.mark.parametrize(
    ("now", "day", "month"),
    [
        ("2026-12-31T23:59:00+00:00", "2027-01-01", "2027-01-01"),
        ("2026-02-01T00:00:00+00:00", "2026-02-02", "2026-03-01"),
        ("2026-11-22T00:30:00+02:00", "2026-11-22", "2026-12-01"),
    ],
)
def test_days_and_months_are_those_of_utc(now: str, day: str, month: str) -> None:
    at = datetime.fromisoformat(now)
    assert (f"{ends('day', at):%Y-%m-%d}", f"{ends('month', at):%Y-%m-%d}") == (day, month)
    assert begins("day", at) <= at < ends("day", at)
    assert begins("month", at).day == 1


@pytest.mark.parametrize(
    "keys", [{"budget_per_day": 0}, {"budget_per_month": -1.0}, {"currency": "a" * 9}, {"currency": "a\nb"}]
)
def test_a_budget_that_is_none_is_an_error_that_names_the_key(keys: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfig, match=f"here: autoscaler.{next(iter(keys))} is "):
        settings_module.read_autoscaler({"autoscaler": keys}, "here")


def test_money_as_people_read_it() -> None:
    assert money(1.234, "EUR") == "1.23 EUR"
    assert money(1.234, is_estimated=True, places=3) == "~1.234"
