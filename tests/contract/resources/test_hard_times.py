"""Every way in which a task can end, or a connection break, leaves the books right."""

from __future__ import annotations

import os
import signal
from typing import Any

import psutil
import pytest
from celery import chain, chord, group
from resource_nodes import Lab, Node, queues_of, replay

NODE = {"ncpus": 4, "memgb": 16}


def _is_idle(node: Node) -> bool:
    answer = node.try_ask("resources")
    if answer is None:  # a busy machine: it is asked again
        return False
    told = answer["ok"]
    return bool(told["running"] == [] and told["free"] == told["total"] and told["held"] == [])


def _is_back(lab: Lab, node: Node) -> None:
    lab.wait_until(lambda: node.try_ask("resources") is not None, what="the node is connected again")


def _shows_idle(lab: Lab, node: Node) -> None:
    lab.wait_until(lambda: _is_idle(node), what="the node shows nothing running and everything free")


def test_failures_retries_and_lost_children_free_what_they_took(lab: Lab, tmp_path: Any) -> None:
    node = lab.node("n1").wait_ready()
    node.join("one", "two", "four")
    sent = []
    for number, kind in enumerate(("one", "two", "four", "one", "two")):
        sent += [
            lab.send(kind, "fail", 0.02),
            lab.send(kind, "retry", 0.02),
            lab.send(kind, "die", str(tmp_path / f"died-{number}"), 0.02),
        ]
    lab.wait_finished(sent)
    runs = [1, 3, 2] * 5  # a failure runs once, a retry twice more, a lost child once more
    lab.wait_until(
        lambda: [lab.finished()[each.id] for each in sent] == runs, what="each ran as often as it should"
    )
    _shows_idle(lab, node)
    assert replay(lab.runs(), {node.nodename: NODE}) == []


def test_hard_and_soft_time_limits_and_revokes_free_what_they_took(lab: Lab) -> None:
    node = lab.node("n1").wait_ready()
    node.join("two", "four")
    over = [
        lab.send("two", "work", 60.0, time_limit=1),
        lab.send("two", "work", 60.0, soft_time_limit=1),
    ]
    lab.wait_until(
        lambda: {line["id"] for line in lab.runs()} == {each.id for each in over}, what="both started"
    )
    lab.wait_finished([lab.send("four")])
    revoked = lab.send("four", "work", 60.0)
    lab.wait_until(lambda: revoked.id in {line["id"] for line in lab.runs()}, what="it started")
    never = lab.send("four")
    lab.app.control.revoke(never.id)
    lab.app.control.revoke(revoked.id, terminate=True)
    lab.wait_finished([lab.send("four")])
    _shows_idle(lab, node)
    assert never.id not in lab.finished()


def test_rate_limited_and_eta_tasks_hold_nothing_until_they_start(lab: Lab) -> None:
    node = lab.node("n1").wait_ready()
    node.join("one", "four")
    slow = [lab.send("four", "limited", 0.0) for _ in range(4)]
    later = [lab.send("four", "work", 0.0, countdown=2) for _ in range(4)]
    lab.wait_finished([lab.send("one") for _ in range(8)], seconds=20)
    assert set(lab.wait_finished([*slow, *later]).values()) == {1}
    _shows_idle(lab, node)
    assert replay(lab.runs(), {node.nodename: NODE}) == []


@pytest.mark.parametrize(("pool", "late"), [("prefork", "0"), ("threads", "1"), ("threads", "0")])
def test_every_pool_with_and_without_late_acknowledgement_keeps_the_books(
    lab: Lab, pool: str, late: str
) -> None:
    nodes = [
        lab.node(name, "ncpus=4,memgb=16", "-P", pool, RESOURCE_APP_ACKS_LATE=late) for name in ("n1", "n2")
    ]
    for node in nodes:
        node.wait_ready().join("one", "two", "four", "roomy", "alone")
    kinds = ("one", "two", "four", "roomy", "alone")
    sent = [lab.send(kind, "work", 0.03) for kind in kinds * 12]
    finished = lab.wait_finished(sent)
    assert set(finished.values()) == {1}
    # Threads of one process write for many runs: the process does not tell them apart, the task does.
    runs = [{**line, "pid": line["id"]} for line in lab.runs()] if pool == "threads" else lab.runs()
    assert replay(runs, {node.nodename: NODE for node in nodes}) == []
    for node in nodes:
        _shows_idle(lab, node)
        assert node.stop() == 0


def test_a_broken_connection_neither_leaks_nor_double_counts(lab: Lab) -> None:
    relay = lab.relay()
    node = lab.node("n1", RESOURCE_APP_BROKER=relay.url).wait_ready()
    node.join("one", "two", "four")
    sent = [lab.send(kind, "work", 0.1) for kind in ("one", "two", "four") * 15]
    for part in (5, 15, 25):
        lab.wait_until(lambda part=part: len(lab.finished()) >= part, what=f"{part} tasks ended")
        # What was here already ends while the node is not back yet.
        lab.wait_until(lambda: relay.cut() > 0, what="it is connected, and cut")
    if lab.broker.startswith("redis"):
        # What was on its way is lost, or stays taken; what had come is run, and nothing twice.
        lab.wait_until(lambda: all(lab.waiting(queue) == 0 for queue in queues_of("one", "two", "four")))
        lab.wait_until(lambda: _is_idle(node), what="all has ended")
        assert set(lab.finished().values()) == {1}
    else:
        lab.wait_finished(sent)
    _shows_idle(lab, node)
    assert replay(lab.runs(), {node.nodename: NODE}) == []


def test_what_runs_when_the_connection_breaks_counts_until_it_ends_and_delays_nothing(lab: Lab) -> None:
    relay = lab.relay()
    # Acknowledged when it begins, so that nothing comes a second time.
    node = lab.node("n1", RESOURCE_APP_BROKER=relay.url, RESOURCE_APP_ACKS_LATE="0").wait_ready()
    node.join("half")
    long = lab.send("half", "work", 600.0)
    lab.wait_until(lambda: bool(lab.runs()), what="it runs")
    # The task itself says so a moment earlier.
    lab.wait_until(lambda: lab.unacknowledged() == 0, what="the broker knows that it began")
    assert relay.cut() > 0
    # As many as there are children: each begins, in a child that was idle.
    more = [lab.send("half", "work", 600.0) for _ in range(7)]
    ids = {each.id for each in (long, *more)}
    lab.wait_until(lambda: {line["id"] for line in lab.runs()} == ids, what="all of them began")
    _is_back(lab, node)
    told = node.ask("resources")
    assert {each["id"] for each in told["running"]} == ids
    assert told["free"]["ncpus"] == 0
    for each in ids:
        lab.app.control.revoke(each, terminate=True)
    _shows_idle(lab, node)


def test_what_a_child_was_given_and_had_not_begun_when_the_connection_broke_counts(lab: Lab) -> None:
    relay = lab.relay()
    node = lab.node("n1", RESOURCE_APP_BROKER=relay.url).wait_ready()
    node.join("one")
    children = psutil.Process(node.process.pid).children(recursive=True)
    for child in children:
        child.suspend()
    sent = [lab.send("one", "work", 0.5) for _ in range(4)]
    lab.wait_until(lambda: len(node.ask("resources")["running"]) == 4, what="all were given to children")
    given = node.ask("resources")["running"]
    assert relay.cut() > 0
    _is_back(lab, node)
    assert node.ask("resources")["running"] == given, "the same deliveries, begun when they were"
    for child in children:
        child.resume()
    # The broker sent them again, to run a second time.
    lab.wait_finished(sent)
    (queue,) = queues_of("one")
    lab.wait_until(lambda: lab.waiting(queue) == 0, what="all was taken")
    _shows_idle(lab, node)
    assert replay(lab.runs(), {node.nodename: NODE}) == []


def test_what_no_child_was_given_when_the_connection_broke_counts_no_longer(
    make_lab: Any, amqp_url: str
) -> None:
    """On Redis such a message would be lost on its way."""
    lab = make_lab(amqp_url)
    relay = lab.relay()
    node = lab.node("n1", RESOURCE_APP_BROKER=relay.url).wait_ready()
    node.join("four")
    _shows_idle(lab, node)
    # It reads the task and the end of the connection in one go.
    os.kill(node.process.pid, signal.SIGSTOP)
    passed = relay.passed_back
    sent = lab.send("four")
    lab.wait_until(lambda: relay.passed_back > passed + 500, what="more than an answer is on its way")
    relay.refuses = True
    assert relay.cut() > 0
    os.kill(node.process.pid, signal.SIGCONT)
    lab.wait_until(lambda: f"[{sent.id}] received" in node.text(), what="the task came")
    other = lab.node("n2").wait_ready()
    other.join("four")
    assert lab.wait_finished([sent])[sent.id] == 1
    relay.refuses = False
    _is_back(lab, node)
    _shows_idle(lab, node)


def test_a_worker_that_is_killed_and_started_again_begins_with_everything_free(lab: Lab) -> None:
    node = lab.node("n1").wait_ready()
    node.join("four")
    lab.send("four", "work", 60.0)
    lab.wait_until(lambda: bool(lab.runs()), what="it runs")
    node.kill()
    node.restart()
    told = node.ask("resources")
    assert told["queues"] == ["res:memgb=8:ncpus=4"], "what it joined survives"
    assert told["total"] == NODE


def test_chains_groups_and_chords_keep_the_constraints_of_each_part(lab: Lab) -> None:
    node = lab.node("n1").wait_ready()
    node.join("one", "two")
    add, app = lab.app.tasks["add"], lab.app
    two = {"ncpus": 2, "memgb": 4}
    result = chain(add.s(1, 2), add.s(10).set(constraints=two), add.s(100), app=app).apply_async()
    assert result.get(timeout=30) == 113
    assert group([add.s(n, 1).set(constraints=two) for n in range(3)], app=app).apply_async().get(
        timeout=30
    ) == [
        1,
        2,
        3,
    ]
    if lab.broker.startswith("redis"):
        body = add.s(1000).set(constraints=two)
        assert chord([add.s(1, 1), add.s(2, 2)], body, app=app).apply_async().get(timeout=30) == 1006
    assert lab.waiting("celery") == 0


def test_a_big_task_is_not_starved_by_a_stream_of_small_ones(make_lab: Any, broker_url: str) -> None:
    """Its wait is bounded by the setting and the longest small task, not by the length of the stream."""
    lab = make_lab(broker_url, RESOURCE_APP_RESERVE_AFTER="1")
    node = lab.node("n1").wait_ready()
    # All of it first: on a busy machine it is worked off as quickly as it is sent.
    small = [lab.send("one", "work", 0.2) for _ in range(120)]
    node.join("one", "four")
    lab.wait_until(lambda: len(lab.finished()) >= 4, what="the stream runs")
    big = lab.send("four", "work", 0.1)
    lab.wait_finished([big], seconds=20)
    assert len(lab.finished()) < 100, "it was served last"
    assert set(lab.wait_finished([*small, big]).values()) == {1}
    assert replay(lab.runs(), {node.nodename: NODE}) == []
