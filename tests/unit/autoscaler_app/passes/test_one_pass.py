"""Whole passes, from growth to nothing, with another cloud than CycleCloud: the same code drives both."""

from __future__ import annotations

import gc
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from autoscaler_app.brokers import BrokerUnreachable
from autoscaler_app.memory.runtimes import Runtimes
from autoscaler_app.passes.act import serving
from autoscaler_app.passes.observe.clocks import followed
from autoscaler_app.passes.observe.look import observe
from autoscaler_app.passes.observe.strays import Strays
from autoscaler_app.passes.one_pass import dry_run, make_pass
from autoscaler_app.passes.plan import DeleteReason
from autoscaler_app.periodic import Foreseen
from celery_resources.settings import ONE_CPU
from scalelib.errors import CloudUnreachable
from tests.machines import Machine
from tests.unit.autoscaler_app.world import Host, World


def kinds(world: World) -> list[str]:
    """The deeds of a pass, in order."""
    return [action.kind for action in world.make_pass().actions]


def test_a_fleet_grows_works_and_goes_away_again(world: World) -> None:
    world.queues.waiting["celery"] = 4
    made = world.make_pass()
    assert [(a.kind, a.target, a.ok) for a in made.actions] == [("launch", "2 x all/small", True)]
    assert kinds(world) == [], "they are coming: nothing is bought twice"

    world.go_on(60)
    hosts = world.boot()
    assert kinds(world) == ["join", "join"]
    assert [host.queues for host in hosts] == [["celery"], ["celery"]]

    world.queues.waiting["celery"] = 0
    for host in hosts:
        host.running = [f"{host.name}-1", f"{host.name}-2"]
    world.go_on(600)
    assert kinds(world) == [], "at work, however long"

    for host in hosts:
        host.running = []
    world.go_on(299)
    assert kinds(world) == [], "not for long enough"
    world.go_on(2)
    assert kinds(world) == ["fence", "fence"]
    assert kinds(world) == ["shut-down", "shut-down"]
    assert kinds(world) == [], "told, and no last word yet"
    assert world.cloud.ended == []

    assert world.last_word(hosts[0])
    assert [(a.kind, a.target, a.detail) for a in world.make_pass().actions] == [
        ("delete", "m1", DeleteReason.IDLE.value)
    ]
    assert world.last_word(hosts[1])
    assert kinds(world) == ["delete"]
    assert world.cloud.ended == ["m1", "m2"]
    assert kinds(world) == []
    assert world.control.state.drains() == {}, "nothing is remembered of them"
    assert world.control.state.known_hosts() == {}


def test_where_one_size_cannot_be_had_the_same_pass_buys_another(world: World) -> None:
    world.queues.waiting["celery"] = 4
    world.cloud.nothing_of["small"] = "sold out"
    made = world.make_pass()
    assert [(a.target, a.ok) for a in made.actions] == [("2 x all/small", False), ("1 x all/large", True)]
    assert not made.ok, "that something could not be had is said"
    assert made.plan is not None
    assert made.plan.launch[0].vm_size == "small", "the report has what was planned first"


def test_where_nothing_can_be_had_a_pass_ends_and_buys_nothing(world: World) -> None:
    world.queues.waiting["celery"] = 4
    world.cloud.nothing_of |= dict.fromkeys(("small", "large"), "sold out")
    assert [(a.target, a.ok) for a in world.make_pass().actions] == [
        ("2 x all/small", False),
        ("1 x all/large", False),
    ]
    assert kinds(world) == [], "what is set aside is not planned with"


def test_demand_that_comes_back_opens_a_host_that_was_fenced(world: World) -> None:
    world.queues.waiting["celery"] = 2
    world.make_pass()
    (host,) = world.boot()
    world.queues.waiting["celery"] = 0
    world.make_pass()
    world.go_on(301)
    assert kinds(world) == ["fence"]
    world.queues.waiting["celery"] = 2
    assert kinds(world) == ["unfence"]
    assert not host.fenced
    assert world.control.state.drains() == {}


def test_where_nothing_is_set_aside_for_it_a_shortage_is_not_planned_around(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same plan would come out, and the same launch be tried, again and again."""
    world.queues.waiting["celery"] = 4
    world.cloud.nothing_of["small"] = "sold out"
    monkeypatch.setattr(world.cloud, "set_aside", dict)
    assert kinds(world) == ["launch"]


def test_a_fleet_that_nibbles_shrinks(world: World) -> None:
    """Each node runs one small task all the time, and one node has room for all of them."""
    world.queues.waiting["celery"] = 4
    world.make_pass()
    hosts = world.boot()
    world.queues.waiting["celery"] = 0
    fenced = {}
    for seconds in range(0, 330, 11):
        for number, host in enumerate(hosts):
            host.running = [f"t{number}"]
        plan = world.make_pass().plan
        assert plan is not None
        fenced |= {entry.node: (seconds, entry.reason.value) for entry in plan.fence}
        world.go_on(11)
    assert fenced == {"m2": (308, "surplus")}


def test_an_hour_on_the_clock_in_which_no_time_passed_makes_nobody_idle(world: World) -> None:
    world.queues.waiting["celery"] = 2
    world.make_pass()
    world.boot()
    world.queues.waiting["celery"] = 0
    world.make_pass()
    world.set_clock(3600)
    made = world.make_pass()
    assert made.actions == ()
    assert made.saw is not None
    assert any("the clock was set by +3600 s" in warning for warning in made.saw.warnings)
    assert world.cloud.moved == timedelta(hours=1)
    world.go_on(301)
    assert kinds(world) == ["fence"]


def test_a_look_moves_no_clock(world: World) -> None:
    world.make_pass()
    world.set_clock(3600)
    dry_run(world.control)
    assert world.cloud.moved == timedelta()


def test_what_was_heard_of_runs_is_remembered(world: World) -> None:
    event = {"hostname": "celery@n1", "pid": 1, "uuid": "t", "timestamp": world.now.timestamp()}
    for kind, facts in (
        ("task-sent", {"queue": "celery", "name": "t"}),
        ("task-started", {}),
        ("task-succeeded", {"runtime": 7.0}),
    ):
        world.control.activity.apply({**event, "type": kind, **facts}, world.now)
    dry_run(world.control)
    assert world.control.state.fact("runtimes") is None, "a look remembers nothing"
    world.make_pass()
    assert Runtimes.from_json(world.control.state.fact("runtimes")).mean("celery") == 7.0


def test_who_was_heard_is_remembered_and_a_look_remembers_nobody(world: World) -> None:
    world.queues.waiting["celery"] = 2
    world.make_pass()
    (host,) = world.boot()
    host.running = ["t1"]
    dry_run(world.control)
    assert world.control.state.known_hosts() == {}
    world.make_pass()
    assert world.control.state.known_hosts()["m1"].tasks == ("t1",)


def test_strangers_are_forgotten_by_a_pass_and_not_by_a_look(world: World) -> None:
    world.control.activity.merge(Host("stranger").account(1), world.now)
    world.listen()
    world.go_on(601)
    dry_run(world.control)
    assert world.control.activity.host("stranger") is not None
    world.make_pass()
    assert world.control.activity.host("stranger") is None


def test_messages_that_nobody_has_are_given_back(world: World) -> None:
    found = Strays(tags=("tag",), warnings=("one is not proven",))
    world.control.strays = SimpleNamespace(look=lambda *words: found)  # type: ignore[assignment]
    world.listen()
    given: list[Any] = []
    world.queues.give_back = lambda tags, queues: given.extend(tags) or 1  # type: ignore[method-assign,func-returns-value]
    made = world.make_pass()
    assert given == ["tag"]
    assert [(a.kind, a.detail) for a in made.actions] == [("restore", "1 given back")]
    assert made.again
    assert made.saw is not None
    assert made.saw.warnings == ("one is not proven",)


def test_a_gang_is_formed_when_all_of_its_nodes_are_free(world: World) -> None:
    queue = "res:ncpus=2:x2"
    world.control.state.kinds.announce({queue: {"constraints": {"ncpus": 2}, "node_count": 2}}, world.now)
    world.queues.waiting[queue] = 1
    world.make_pass()
    hosts = world.boot()
    (formed,) = [action for action in world.make_pass().actions if action.kind == "gang"]
    assert formed.ok
    assert formed.target == f"form {queue}: host-m1, host-m2"
    assert [host.told for host in hosts] == [["follow", "lead"], ["follow"]]


def test_very_many_workers_are_told_to_speak_less_often(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []
    real = serving.out_of_step

    def noted(*words: Any, **facts: Any) -> Any:
        asked.append(facts)
        return real(*words, **facts)

    monkeypatch.setattr(serving, "out_of_step", noted)
    world.hosts.of = {name: Host(name) for name in (f"n{i}" for i in range(60))}
    world.make_pass()
    assert {tuple(host.told) for host in world.hosts.of.values()} == {("pace",)}
    patience = world.control.settings.autoscaler.told_within
    assert asked == [{"heard_since": world.now - timedelta(seconds=patience), "slowest": patience / 2}]


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (CloudUnreachable("no answer from the cloud"), "CloudUnreachable: no answer from the cloud"),
        (BrokerUnreachable("no answer from the broker"), "BrokerUnreachable: no answer from the broker"),
    ],
)
def test_half_a_picture_is_no_picture(
    world: World, monkeypatch: pytest.MonkeyPatch, trouble: Exception, said: str
) -> None:
    """Without the cloud or the broker nodes would look idle, or gone: the pass ends there and says so."""
    world.queues.waiting["celery"] = 2
    world.make_pass()
    world.boot()
    world.make_pass()
    world.go_on(9000)

    def away(*words: Any) -> Any:
        raise trouble

    is_cloud = isinstance(trouble, CloudUnreachable)
    monkeypatch.setattr(world.cloud if is_cloud else world.queues, "cloud" if is_cloud else "depths", away)
    clocks = world.control.history.times()
    made = make_pass(world.control)
    assert (made.ok, made.error, made.plan, made.actions) == (False, said, None, ())
    assert world.control.history.times() == clocks


def test_a_defect_is_raised_and_still_in_the_journal(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*words: Any) -> Any:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(world.cloud, "settle", broken)
    with pytest.raises(ZeroDivisionError):
        make_pass(world.control)
    (report,) = world.control.reports(1)
    assert report.error == "a defect of this program, please report it: ZeroDivisionError: oops"


def test_a_pass_whose_report_cannot_be_written_says_so_and_ends_in_order(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """SQLite itself finds the disk full: the file may not grow by a page."""
    world.make_pass()
    for n in range(1, 200):
        queue = f"res:ncpus={n}"
        world.control.state.kinds.announce({queue: {"constraints": {"ncpus": n}}}, world.now)
        world.queues.waiting[queue] = 1
    world.make_pass()  # what it remembers of them has its room; the next report has none
    db = world.control.state._file._db
    assert db is not None
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {pages}")
    made = make_pass(world.control)
    assert (made.ok, made.number) == (False, 0)
    assert "the report of this pass cannot be written: state file" in caplog.text
    assert "database or disk is full" in made.error
    db.execute("PRAGMA max_page_count = 1000000")
    again = make_pass(world.control)
    assert (again.error, again.number > 0) == ("", True)


def test_a_machine_that_is_not_ours_is_filled_and_never_ended(world: World) -> None:
    world.cloud.machines["desk"] = Machine("desk", "large", state="Ready", hostname="desk", managed=False)
    world.queues.waiting["celery"] = 8
    assert kinds(world) == [], "nothing is bought: it has room"
    world.queues.waiting["celery"] = 0
    world.hosts.of["desk"] = Host("desk", queues=["celery"], fenced=True)
    world.go_on(9000)
    made = world.make_pass()
    assert made.actions == ()
    assert made.plan is not None
    assert [(entry.node, entry.reason.value) for entry in made.plan.keep] == [("desk", "unmanaged")]


def test_what_is_foreseen_of_periodic_tasks_is_remembered_by_a_pass_and_counts_in_any_look(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreseen = Foreseen(due={"celery": (30.0,)}, kinds={"celery": ONE_CPU}, watched=frozenset({"t"}))
    remembered: list[Foreseen] = []
    world.control.periodic = SimpleNamespace(  # type: ignore[assignment]
        foreseen=lambda *words: foreseen, remember=remembered.append
    )
    _, plan = dry_run(world.control)
    assert [launch.jobs for launch in plan.launch] == [{"celery": 1}]
    assert remembered == []
    assert kinds(world) == ["launch"]
    assert remembered == [foreseen]
    event = {"type": "task-sent", "uuid": "x", "name": "t", "queue": "celery", "timestamp": 0.0}
    world.control.activity.apply(event, world.now)
    assert [sent.name for sent in world.control.activity.take_sends()] == ["t"], "its sending is watched"


def test_all_that_is_remembered_is_as_long_ago_as_it_was_after_the_clock_was_set(world: World) -> None:
    heard: list[timedelta] = []
    world.listen()
    world.control.listener.clock_was_set = lambda by, now: heard.append(by)  # type: ignore[union-attr,method-assign]
    world.queues.waiting["celery"] = 2
    world.make_pass()
    (host,) = world.boot()
    world.control.activity.merge(host.account(1), world.now)
    world.make_pass()
    world.control.state.begin_drain("m1", host.name, "idle", world.now)
    world.control.state.set_fact("hungry", {"x": world.now.timestamp()})
    by = timedelta(hours=-1)
    before = world.sight().asked
    world.set_clock(by.total_seconds())
    host.is_mute = True
    after = observe(world.control, followed(world.control)).asked
    hungry = world.control.state.fact("hungry")
    assert after.drains["m1"].chosen == before.drains["m1"].chosen + by
    assert after.known["m1"].heard == before.known["m1"].heard + by
    assert after.history["m1"].created == before.history["m1"].created + by  # type: ignore[index]
    assert after.views["host-m1"].told == before.views["host-m1"].told + by  # type: ignore[operator]
    assert heard == [by]
    assert hungry == {"x": after.now.timestamp()}


def test_cycles_are_not_looked_for_while_a_pass_is_made_and_are_afterwards(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[bool] = []
    depths = world.queues.depths
    monkeypatch.setattr(
        world.queues, "depths", lambda queues: looked.append(gc.isenabled()) or depths(queues)
    )
    world.make_pass()
    monkeypatch.setattr(world.cloud, "cloud", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        make_pass(world.control)
    assert (looked, gc.isenabled()) == ([False], True)
    gc.disable()
    try:
        with pytest.raises(ZeroDivisionError):
            make_pass(world.control)
        assert not gc.isenabled(), "somebody has switched it off for good"
    finally:
        gc.enable()
