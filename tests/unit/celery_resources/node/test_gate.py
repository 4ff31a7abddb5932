"""What the gate does with a message, by its books. Celery's part is played by a few plain objects."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import signals
from celery.concurrency.solo import TaskPool
from celery.concurrency.thread import TaskPool as ThreadPool

from celery_resources.gangs import membership
from celery_resources.gangs.gang import Gang, GangRefused, Role
from celery_resources.need.requirement import Requirement
from celery_resources.node import gate as gate_module
from celery_resources.node.gate import ResourceGate, _listen_to_runs, _places
from celery_resources.node.standing import StandingFile
from celery_resources.settings import Settings
from tests.unit.celery_resources.plain import Request, kept_house, plain_gate


def test_what_is_held_starts_at_once_when_an_end_is_seen_by_way_of_the_next_message(
    celery_has: dict[str, Any],
) -> None:
    submitted: list[Any] = []
    gate = plain_gate(submitted)
    first, held, third = (Request(name) for name in ("first", "held", "third"))
    for request in (first, held):
        celery_has[request.id] = request
        gate.asked(request)
    assert submitted == [first]
    del celery_has["first"]
    celery_has["third"] = third
    gate.asked(third)
    gate._tick()
    assert submitted == [first, held]
    assert [request["id"] for request in gate.unstarted.told()] == ["third"]


def test_what_has_ended_is_seen_though_a_message_of_the_same_id_is_here_again(
    celery_has: dict[str, Any],
) -> None:
    """A retry has the id of the run that asked for it, and may come in the turn in which that ends."""
    for comes in ("asked", "postponed"):
        gate = plain_gate([], ncpus=4)
        run, again = Request("same"), Request("same")
        for request, take in ((run, "asked"), (again, comes)):
            celery_has["same"] = request
            getattr(gate, take)(request)
        gate._tick()
        assert run not in gate.books.running
        assert gate.ledger.free["ncpus"] == (3_000_000 if comes == "asked" else 4_000_000)
        celery_has.clear()
        gate._tick()
        assert (gate.books.running, gate.books.ids, gate.books.is_doubtful) == ({}, {}, False)


def test_what_waited_for_its_time_waits_no_more_when_it_is_asked_for(celery_has: dict[str, Any]) -> None:
    gate = plain_gate([])
    celery_has["later"] = later = Request("later")
    gate.postponed(later)
    assert len(gate.unstarted) == 1
    gate.asked(later)
    assert (len(gate.unstarted), list(gate.books.running)) == (0, [later])


def test_only_what_ran_counts_as_a_run(celery_has: dict[str, Any]) -> None:
    gate = plain_gate([])
    expired, ran = Request("expired"), Request("ran")
    for request in (expired, ran):
        celery_has[request.id] = request
        gate.asked(request)
        if request is ran:
            ran.time_start = time.time() - 5
        del celery_has[request.id]
        gate._tick()
    (runs, seconds) = gate.books.tally.told()["q"]
    assert runs == 1
    assert seconds >= 4


def test_what_celery_itself_makes_of_the_credit_is_seen_at_the_next_turn(celery_has: dict[str, Any]) -> None:
    """It raises it when a task with an ETA comes."""
    gate = plain_gate([])
    looks: list[bool] = []
    gate.flow.update = lambda: looks.append(True)
    gate.consumer.qos = SimpleNamespace(value=4, prev=4)
    gate.subscriptions.credit_was_moved = True
    gate._tick()
    assert looks == []
    gate.consumer.qos.value = 5
    gate._tick()
    assert looks == [True]


def test_late_queues_and_what_was_settled_elsewhere_are_seen_now_and_then(celery_has: dict[str, Any]) -> None:
    gate, revoked = kept_house(plain_gate([])), Request("revoked")
    gate.postponed(revoked)
    revoked.acknowledged = True
    assert list(gate.serves) == ["q"]

    def news() -> bool:
        gate.offers.queues["late"] = None
        return True

    gate.offers.news = news
    gate._housekeeping()
    assert list(gate.serves) == ["q", "late"]
    assert gate.unstarted.scheduled == 0


def test_a_gang_that_ends_on_a_full_disk_does_not_end_the_worker(
    celery_has: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(membership, "release_members", lambda *_: None)
    gate = plain_gate([])
    gate.consumer.app, gate.settings = None, Settings()
    gate.standing = StandingFile(tmp_path / "state", "w@n1")
    gang = Gang(id="g", members=("w@n1", "w@n2"), queue="q")
    gate.standing.change(gang=gang)
    gate.duty.lead(gang)
    task = Request("task")
    celery_has["task"] = task
    gate.asked(task)
    assert gate.duty.role is Role.RUNS
    del celery_has["task"]
    monkeypatch.setattr(os, "fsync", _full)
    gate._tick()
    assert gate.duty.gang is None


def _full(_: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


# -- who may start, and what becomes of who may not


def _hold_one(gate: Any, celery_has: dict[str, Any]) -> tuple[Request, Request]:
    """A task that fills the node, and one that is held for it."""
    first, held = Request("first"), Request("held")
    for request in (first, held):
        celery_has[request.id] = request
        gate.asked(request)
    assert gate.unstarted.held
    return first, held


def test_a_fenced_node_starts_nothing_and_gives_back_what_comes(celery_has: dict[str, Any]) -> None:
    submitted: list[Any] = []
    gate = plain_gate(submitted)
    gate.fence("test")
    late = Request("late")
    gate.asked(late)
    assert (submitted, late.went_back) == ([], [True])


def test_what_was_held_or_waits_for_its_time_goes_back_when_the_node_is_fenced(
    celery_has: dict[str, Any],
) -> None:
    submitted: list[Any] = []
    gate = plain_gate(submitted)
    first, held = _hold_one(gate, celery_has)
    later = Request("later")
    gate.postponed(later)
    gate.fence("test")
    assert (submitted, held.went_back, later.went_back) == ([first], [True], [True])
    assert (gate.unstarted.held, len(gate.unstarted)) == ([], 0)


def test_a_held_task_does_not_start_while_the_worker_shuts_down(celery_has: dict[str, Any]) -> None:
    submitted: list[Any] = []
    gate = plain_gate(submitted)
    gate.offers.stop_reading = lambda: None
    first, _ = _hold_one(gate, celery_has)
    gate.close(None)
    del celery_has["first"]
    gate._tick()
    late = Request("late")
    gate.asked(late)
    assert (submitted, late.went_back) == ([first], [True])


def test_a_kind_that_must_wait_for_a_bigger_one_goes_back(celery_has: dict[str, Any]) -> None:
    submitted: list[Any] = []
    gate = plain_gate(submitted)
    gate.reservation.allows = lambda queue, need: queue != "q"
    small = Request("small")
    gate.asked(small)
    assert (submitted, small.went_back) == ([], [True])


def test_one_that_was_settled_while_it_waited_is_struck_off_and_not_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    struck_off: list[Any] = []
    monkeypatch.setattr(gate_module, "strike_off", struck_off.append)
    submitted: list[Any] = []
    gate, settled = plain_gate(submitted), Request("settled")
    settled.acknowledged = True
    gate.asked(settled)
    assert (submitted, struck_off) == ([], [settled])


def test_what_is_held_for_too_long_goes_back(
    celery_has: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = plain_gate([])
    _, held = _hold_one(gate, celery_has)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 3.0)
    gate._tick()
    assert held.went_back == [True]


def test_deliveries_of_an_earlier_connection_are_void(celery_has: dict[str, Any]) -> None:
    submitted: list[Any] = []
    gate = plain_gate(submitted)
    _, held = _hold_one(gate, celery_has)
    gate.consumer.pool = type("Pool", (), {"flush": lambda: None})
    gate.subscriptions.connected = gate.offers.start_reading = lambda: None
    gate.start(gate.consumer)
    del celery_has["first"]
    gate._tick()
    assert (len(submitted), gate.unstarted.held, held.went_back) == (1, [], [])


def test_whether_the_consumer_was_closed_with_its_connection_alive_is_remembered() -> None:
    for alive in (True, False):
        gate = plain_gate([])
        gate.subscriptions.is_connected = alive
        gate.shutdown(None)
        assert gate.closed_connected is alive


def test_a_pool_that_grows_on_demand_has_as_many_places_as_it_may_grow_to() -> None:
    pool = SimpleNamespace(num_processes=1)
    for scaler, places in ((None, 1), (SimpleNamespace(max_concurrency=6), 6)):
        controller = SimpleNamespace(autoscaler=scaler)
        assert _places(SimpleNamespace(pool=pool, controller=controller)) == places
    assert _places(SimpleNamespace(pool=pool, controller=SimpleNamespace())) == 1


def test_a_node_takes_as_many_tasks_as_its_pool_may_grow_to(celery_has: dict[str, Any]) -> None:
    """Celery grows a pool by the tasks that it was given: kept back for want of places, none would come."""
    submitted: list[Any] = []
    gate = kept_house(plain_gate(submitted, ncpus=6))
    gate.consumer.controller = SimpleNamespace(autoscaler=SimpleNamespace(max_concurrency=6))
    gate.ledger.slots = 1
    gate._housekeeping()
    for number in range(6):
        celery_has[str(number)] = request = Request(str(number))
        gate.asked(request)
    assert len(submitted) == 6


# -- gangs


GANG = Gang(id="q/1", members=("w@n1", "w@n2"), queue="q", requirement=Requirement(node_count=2))


def test_a_head_serves_the_queue_of_its_gang_until_it_has_its_message(celery_has: dict[str, Any]) -> None:
    gate = plain_gate([])
    gate.membership.lead(GANG)
    assert list(gate.serves) == ["q"]
    task = celery_has["task"] = Request("task")
    gate.asked(task)
    assert gate.duty.role is Role.RUNS
    assert gate.serves == {}


def test_a_queue_of_gangs_is_served_by_their_heads_alone() -> None:
    gate = plain_gate([])
    gate.kinds.learn("q", Requirement(node_count=2))
    assert gate.serves == {}


@pytest.mark.parametrize(("setting", "failed"), [("fail", 1), ("ignore", 0)])
def test_a_lost_member_ends_the_task_if_the_settings_say_so(
    celery_has: dict[str, Any], monkeypatch: pytest.MonkeyPatch, setting: Any, failed: int
) -> None:
    ended: list[Any] = []
    monkeypatch.setattr(membership, "fail_running", lambda request, *_: ended.append(request))
    gate = plain_gate([])
    gate.settings = Settings(gang_member_lost=setting)
    with pytest.raises(GangRefused, match="runs nothing for gang q/1"):
        gate.membership.member_lost("q/1", "n2")
    gate.membership.lead(GANG)
    celery_has["task"] = task = Request("task")
    gate.asked(task)
    gate.membership.member_lost("q/1", "n2")
    assert ended == [task] * failed


def test_a_run_in_a_thread_is_heard_and_one_in_a_process_finds_its_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard: list[str] = []
    threads: Any = SimpleNamespace(listen=lambda: heard.append("listens"))
    for signal in (signals.task_prerun, signals.task_postrun):
        monkeypatch.setattr(signal, "receivers", [])
    _listen_to_runs(object.__new__(ThreadPool), threads)
    assert heard == ["listens"]
    assert [*signals.task_prerun.receivers, *signals.task_postrun.receivers] == []
    _listen_to_runs(object.__new__(TaskPool), threads)
    assert heard == ["listens"]
    assert signals.task_prerun.receivers
    assert signals.task_postrun.receivers


def test_what_an_earlier_connection_s_loop_was_to_do_is_asked_of_this_one() -> None:
    gate, connected = plain_gate([]), list[bool]()
    gate.threads = SimpleNamespace(connected=lambda: connected.append(True))
    gate.flow.register = gate.telling.register = lambda hub: None
    hub = SimpleNamespace(on_tick=set(), call_repeatedly=lambda *_: None)
    gate.register_with_event_loop(None, hub)
    assert (hub.on_tick, connected) == ({gate._tick}, [True])


def test_a_pool_without_an_event_loop_is_refused_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """gevent and eventlet have none."""
    consumer = SimpleNamespace(
        hub=None,
        create_task_handler=None,
        app=SimpleNamespace(connection=lambda: SimpleNamespace(transport_cls="redis")),
        controller=SimpleNamespace(pool_cls=TaskPool),
    )
    with pytest.raises(SystemExit):
        ResourceGate(consumer, resources="ncpus=4")
    (line,) = caplog.messages
    assert "with pool solo on broker redis it has none: use the prefork, threads or solo pool" in line
