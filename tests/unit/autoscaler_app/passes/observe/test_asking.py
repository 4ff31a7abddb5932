"""Who is asked, and who is left alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

import pytest

from autoscaler_app.listening.activity import accounts
from autoscaler_app.listening.activity import worker as worker_module
from autoscaler_app.listening.activity.coming import TAKEN_WITHIN
from autoscaler_app.memory import queues
from autoscaler_app.passes.observe import asking
from tests.unit.autoscaler_app.world import Host, World


@pytest.fixture
def asked(world: World, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...] | None]:
    """Who was asked for what it has, look by look; None: everybody."""
    found: list[tuple[str, ...] | None] = []
    real = world.hosts.ask

    def ask(
        command: str, nodenames: Collection[str] | None, arguments: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        if command == "resources":
            found.append(None if nodenames is None else tuple(nodenames))
        return real(command, nodenames, arguments)

    monkeypatch.setattr(world.hosts, "ask", ask)
    return found


@pytest.fixture
def node(world: World) -> Host:
    world.queues.waiting["celery"] = 2
    world.make_pass()
    (host,) = world.boot()
    world.queues.waiting["celery"] = 0
    world.make_pass()
    world.listen()
    return host


def test_a_command_asks_everybody(world: World, asked: list[Any]) -> None:
    world.sight()
    assert asked == [None]


def test_who_listens_asks_those_whose_last_word_is_getting_old(
    world: World, node: Host, asked: list[Any]
) -> None:
    world.go_on(36)
    world.sight()
    assert asked == [], "it told half a minute ago"
    world.go_on(1)
    world.sight()
    assert asked == [(node.nodename,)]


def test_who_may_not_have_been_heard_is_asked_at_once(world: World, node: Host, asked: list[Any]) -> None:
    world.control.activity.doubt()
    world.sight()
    assert asked == [(node.nodename,)]


def test_who_is_on_its_way_out_is_asked_in_every_look_until_it_was_told_to_shut_down(
    world: World, node: Host, asked: list[Any]
) -> None:
    state = world.control.state
    state.begin_drain("m1", node.name.upper(), "idle", world.now)
    world.sight()
    state.mark_fenced("m1", world.now)
    world.sight()
    assert asked == [(node.nodename,)] * 2
    state.mark_shut_down("m1", [node.process], world.now)
    world.go_on(50)
    world.sight()
    assert len(asked) == 2, "it is shutting down"
    world.go_on(11)
    world.sight()
    assert asked[2:] == [(node.nodename,)], "it should have been done by now"


def test_who_shuts_down_and_is_not_heard_is_not_looked_for(
    world: World, node: Host, asked: list[Any]
) -> None:
    world.make_pass()
    state = world.control.state
    state.begin_drain("m1", node.name, "idle", world.now)
    state.mark_shut_down("m1", [node.process], world.now)
    world.control.activity.forget(node.name)
    world.go_on(500)
    asked.clear()
    world.sight()
    assert asked == []


def test_one_that_answers_that_it_cannot_say_is_no_host(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.hosts, "ask", lambda *words: {"celery@other": None})
    world.listen()
    world.control.activity.apply(
        {"type": "worker-heartbeat", "hostname": "celery@other", "pid": 1, "timestamp": 0.0}, world.now
    )
    assert world.sight().snapshot.hosts == ()


def test_hosts_that_have_left_are_not_waited_for_when_messages_are_looked_for(
    world: World, node: Host
) -> None:
    """Else one that is gone would keep what it had from ever being given back."""
    from autoscaler_app.passes.observe.asking import _still_there

    world.make_pass()
    known, cloud = world.control.state.known_hosts(), world.cloud.cloud()
    state = world.control.state
    assert list(_still_there(known, state.drains(), cloud)) == [node.nodename]
    state.begin_drain("m1", node.name, "idle", world.now)
    state.mark_shut_down("m1", [node.process], world.now)
    assert list(_still_there(known, state.drains(), cloud)) == [node.nodename]
    assert world.last_word(node)
    assert list(_still_there(known, state.drains(), cloud)) == []
    world.cloud.machines.clear()
    assert list(_still_there(known, {}, world.cloud.cloud())) == []


def test_what_is_for_later_is_demand_a_boot_and_a_margin_ahead(world: World, node: Host) -> None:
    assert world.control.boot_time() == timedelta()
    assert world.sight().asked.horizon == timedelta(seconds=60)
    world.control.state.set_fact("boot_seconds", 90.0)
    assert world.sight().asked.horizon == timedelta(seconds=150)


def test_how_long_nodes_boot_is_remembered_by_a_pass(world: World) -> None:
    world.queues.waiting["celery"] = 2
    world.make_pass()
    world.make_pass()
    world.go_on(70)
    world.boot()
    world.make_pass()
    assert world.control.history.boot_time() == timedelta(seconds=70)
    assert world.control.state.fact("boot_seconds") is None, "it has just come up"
    world.make_pass()
    assert world.control.state.fact("boot_seconds") == 70.0


def test_queues_that_workers_make_up_are_looked_at_up_to_a_bound_that_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (queues, asking):
        monkeypatch.setattr(module, "MAX_KINDS", 3)
    said = {"celery", *(f"q{number}" for number in range(5))}
    world.control.activity.merge({**Host("ghost").account(1), "queues": sorted(said)}, world.now)
    sight = world.sight()
    assert sight.kinds.keys() == {"celery", "q0", "q1", "q2"}
    (warning,) = [warning for warning in sight.warnings if "consume" in warning]
    assert warning.startswith("2 queues that workers say they consume are not looked at, such as 'q3'")


def test_of_one_worker_so_many_queues_and_resources_are_kept_and_only_what_can_be_shown(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "MAX_TASKS", 2)
    monkeypatch.setattr(accounts, "MAX_AMOUNTS", 9)
    odd = {"a": [1], "b": {"x": 1}, "c": float("nan"), "d": "\x1b", "\x1b": 1, "x" * 1001: 1, "e": "x" * 1001}
    told = {**odd, "ncpus": 4, "kind": "big", "beyond": 1}
    said = {"queues": ["q1", "q2", "q3"], "total": told, "free": told}
    world.control.activity.merge({**Host("n1").account(1), **said}, world.now)
    host = world.control.activity.host("n1")
    assert host is not None
    assert host.queues == ("q1", "q2")
    assert host.total == host.free == {"ncpus": 4, "kind": "big"}


def test_what_was_said_to_stand_in_a_queue_for_later_and_does_not_hides_no_task(world: World) -> None:
    """Anybody may say that a task was sent for the year 9999."""
    later = {"type": "task-sent", "uuid": "x", "name": "t", "queue": "celery", "eta": "9999-12-31T23:59:59"}
    world.control.activity.apply(later, world.now)
    world.queues.waiting["celery"] = 1
    assert [queue.waiting for queue in world.sight().snapshot.queues] == [0], "it may be that one"
    world.queues.waiting["celery"] = 0
    world.make_pass()
    assert world.control.activity.coming(), "it may be on its way"
    world.go_on(TAKEN_WITHIN.total_seconds() + 1)
    world.make_pass()
    world.queues.waiting["celery"] = 1
    assert [queue.waiting for queue in world.sight().snapshot.queues] == [1]


def test_what_a_worker_keeps_for_later_without_a_name_may_be_any(world: World) -> None:
    later = {"type": "task-sent", "uuid": "x", "name": "t", "queue": "celery", "eta": "9999-12-31T23:59:59"}
    world.control.activity.apply(later, world.now)
    said = {**Host("n1").account(1), "scheduled": 1, "coming": None}
    world.control.activity.merge(said, world.now)
    world.go_on(TAKEN_WITHIN.total_seconds() + 1)
    world.make_pass()
    assert [task.id for task in world.control.activity.coming()] == ["x"]
