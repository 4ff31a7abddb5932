"""In the shadow all is decided and reported, nothing is done, and what would have been is added up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from celery import Celery

from autoscaler_app.cli import show
from autoscaler_app.passes import report
from autoscaler_app.passes.act.shadow import added_up, told
from autoscaler_app.passes.act.tied import TiedBroker, TiedWorkers
from autoscaler_app.passes.control import Control
from autoscaler_app.passes.lease.keeping import Unneeded
from autoscaler_app.passes.plan import Delete, DeleteReason, Fence, FenceReason, Launch, Plan, Price
from autoscaler_app.passes.report import NodeSaw, Saw, Shadow
from autoscaler_app.settings import Autoscaler, Settings
from scalelib.readonly import ReadOnly
from tests import machines
from tests.unit.autoscaler_app.world import Host, World

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def tie(world: World) -> None:
    control = world.control
    control.in_shadow = True
    control.provider = ReadOnly(world.cloud)
    control.broker, control.workers = TiedBroker(world.queues), TiedWorkers(world.hosts)


@pytest.fixture
def host(world: World) -> Host:
    """One small node that is up, at 1 per hour, with nothing to do; from here on hands are tied."""
    world.queues.waiting["celery"] = 2
    world.make_pass()
    (host,) = world.boot()
    world.queues.waiting["celery"] = 0
    world.make_pass()
    host.told.clear()
    tie(world)
    return host


def total(world: World) -> Shadow:
    made = world.make_pass()
    assert made.shadow is not None
    assert made.actions == ()
    return made.shadow


def test_what_would_be_launched_is_counted_once_and_costs_while_it_is_wanted(
    world: World, host: Host
) -> None:
    world.queues.waiting["celery"] = 6
    first = total(world)
    assert (first.launched, first.cost, list(world.cloud.machines)) == (2, 0.0, ["m1"])
    assert (first.per_hour_is, first.per_hour) == (1.0, 3.0)
    world.go_on(90)
    second = total(world)
    assert (second.launched, second.cost, second.cost_is) == (2, pytest.approx(0.075), pytest.approx(0.025))
    world.queues.waiting["celery"] = 8
    assert total(world).launched == 3


def test_what_would_be_ended_is_counted_once_and_saves(world: World, host: Host) -> None:
    world.go_on(301)
    assert [total(world).ended for _ in range(2)] == [1, 1]
    world.go_on(3600)
    made = total(world)
    assert (made.cost, made.cost_is, made.per_hour) == (0.0, 1.0, 0.0)
    assert (world.cloud.ended, host.told, world.control.state.drains()) == ([], [], {})


def test_messages_stay_where_they_are_even_those_of_nodes_that_are_gone(world: World, host: Host) -> None:
    host.running = ["t1"]
    total(world)
    world.cloud.machines.clear()
    world.hosts.of.clear()
    world.go_on(60)
    total(world)
    assert world.queues.given_back == []
    assert world.control.state.known_hosts() == {}, "so that nothing of it is given back later"


def test_it_is_told_in_the_line_of_the_pass_and_by_what_shows_it(world: World, host: Host) -> None:
    world.queues.waiting["celery"] = 6
    made = world.make_pass()
    assert "in the shadow: nothing done" in report.summary(made)
    assert "it would have launched 2 and ended 0, and cost 0.000 beside 0.000" in show.report(made)


def test_the_first_pass_in_earnest_forgets_the_sums_and_does_what_is_to_be_done(
    world: World, host: Host
) -> None:
    world.queues.waiting["celery"] = 6
    total(world)
    world.control.in_shadow, world.control.provider = False, world.cloud
    world.control.broker, world.control.workers = world.queues, world.hosts
    made = world.make_pass()
    assert (made.shadow, len(world.cloud.machines)) == (None, 3)
    assert world.control.state.fact("shadow") is None


def summed(
    before: Shadow | None,
    minutes: float,
    *launches: Launch,
    fenced: tuple[str, ...] = (),
    deleted: tuple[str, ...] = (),
) -> Shadow:
    """After a pass so many minutes past noon, which saw `n1` and `n2`, at 1 per hour each."""
    there = tuple(
        NodeSaw(
            node=name, node_id=f"id-{name}", hostname="", vm_size="D4", nodearray="a", state="Ready",
            price_per_hour=1.0,
        )
        for name in ("n1", "n2")
    )  # fmt: skip
    plan = Plan(
        launch=launches,
        fence=tuple(Fence(node=name, hostname=name, reason=FenceReason.IDLE) for name in fenced),
        delete=tuple(Delete(node=name, node_id=f"id-{name}", reason=DeleteReason.FAILED) for name in deleted),
        price_per_hour=Price(before=2.0, added=sum(launch.price_per_hour for launch in launches)),
        decided_by="",
        planning_seconds=0.0,
    )
    return added_up(before, plan, Saw(nodes=there), NOON + timedelta(minutes=minutes))


def launch(count: int, *, spot: bool = False, group: str | None = None) -> Launch:
    return Launch(
        nodearray="a", vm_size="D4", spot=spot, placement_group=group, count=count,
        price_per_hour=float(count), jobs={},
    )  # fmt: skip


def test_money_is_added_up_from_pass_to_pass_since_the_first() -> None:
    total = summed(None, 0, launch(4))
    for minutes in (30, 60, 90):
        total = summed(total, minutes, launch(4))
        assert (total.cost, total.cost_is) == (pytest.approx(minutes / 10), pytest.approx(minutes / 30))
    assert (total.since, total.launched) == (NOON, 4)
    back = summed(total, 30)
    assert (back.cost, back.cost_is) == (total.cost, total.cost_is), "a clock that was set back"


def test_each_machine_that_is_wanted_counts_whichever_launch_it_is_in() -> None:
    total = summed(None, 0, launch(2, group="g1"), launch(3, group="g2"))
    assert (total.launched, total.wanted) == (5, {"a/D4": 5})
    total = summed(total, 1, launch(5, spot=True))
    assert (total.launched, total.wanted) == (10, {"a/D4 spot": 5}), "another kind of machine"


def test_a_node_that_is_fenced_first_and_deleted_then_is_ended_once() -> None:
    total = summed(None, 0, fenced=("n1",), deleted=("n2",))
    assert (total.ended, total.going, total.per_hour) == (2, ("id-n1", "id-n2"), 0.0)
    total = summed(total, 1, deleted=("n1", "n2"))
    assert (total.ended, total.per_hour, total.per_hour_is) == (2, 0.0, 2.0)


@pytest.mark.parametrize("how", ["look", "shadow", "setting"])
def test_who_looks_and_who_is_in_the_shadow_has_tied_hands(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines.install(monkeypatch)
    settings = Settings(
        config={"provider": "machines"}, autoscaler=Autoscaler(shadow=how == "setting"), folder=tmp_path
    )
    with Celery("test", broker="memory://", set_as_current=False) as app:
        control = Control.open(app, settings, look=how == "look", shadow=how == "shadow")
        assert isinstance(control.provider, ReadOnly)
        assert isinstance(control.broker, TiedBroker)
        assert isinstance(control.workers, TiedWorkers)
        assert control.in_shadow is (how != "look")
        assert isinstance(control.lease, Unneeded) is (how == "shadow"), "beside whoever is in charge"
        control.close()


def test_what_it_would_have_cost_is_told_in_the_currency_of_the_settings() -> None:
    line = told(Shadow(since=NOON, until=NOON, cost=1.5, cost_is=2.0, per_hour=0.5), "EUR")
    assert "and cost 1.500 EUR beside 2.000 EUR; now 0.500 EUR per hour beside 0.000 EUR" in line
