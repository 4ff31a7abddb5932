"""Orders about nodes: written down with who and why, and refused where they cannot be had."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from celery import Celery
from click.testing import CliRunner, Result

from autoscaler_app.cli.group import autoscaler
from autoscaler_app.memory import orders
from autoscaler_app.memory.orders import NodeOrder
from autoscaler_app.memory.state import State
from autoscaler_app.passes import report
from autoscaler_app.passes.plan import Keep, KeepReason, Plan, Price
from autoscaler_app.passes.report import NodeSaw, QueueSaw, Report, Saw

Say = Callable[..., Result]


def seen(number: int, running: int = 0) -> NodeSaw:
    return NodeSaw(
        node=f"worker-{number}",
        node_id=f"id-{number}",
        hostname=f"ip-{number}",
        vm_size="S2",
        nodearray="worker",
        state="Ready",
        running=running,
    )


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pass has seen two nodes, and a third that nobody may touch."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SUDO_USER", "ann")
    monkeypatch.setenv("CYCLECLOUD_PASSWORD", "nobody asks for it")
    settings = {"url": "http://127.0.0.1:1", "username": "u", "cluster_name": "c"}
    (tmp_path / "autoscale.json").write_text(json.dumps(settings))
    plan = Plan(
        keep=(Keep(node="worker-3", node_id="id-3", reason=KeepReason.KEEP_ALIVE),),
        price_per_hour=Price(before=0, added=0),
        decided_by="greedy",
        planning_seconds=0,
    )
    now = datetime.now(UTC)
    saw = Saw(
        nodes=(seen(1), seen(2, running=2), seen(3)), queues=(QueueSaw(queue="celery", waiting=0, running=2),)
    )
    with closing(State(tmp_path / "autoscaler.db")) as state:
        state.journal.write(now, report.encode(Report(started=now, saw=saw, plan=plan)))
    return tmp_path / "autoscaler.db"


@pytest.fixture
def say(state: Path) -> Say:
    def said(*words: str) -> Result:
        with Celery("test", broker="memory://", set_as_current=False) as app:
            return CliRunner().invoke(autoscaler, words, obj=SimpleNamespace(app=app))

    return said


def written(path: Path) -> dict[str, NodeOrder]:
    with closing(State.look(path)) as state:
        return orders.nodes_from(state.fact(orders.NODES))


@pytest.mark.parametrize("name", ["worker-1", "ip-1", "id-1"])
def test_who_why_and_until_when_are_written_down_and_shown(name: str, say: Say, state: Path) -> None:
    outcome = say("hold", name, "--for", "1h30m", "--why", " the  disk ")
    assert outcome.exit_code == 0, outcome.output
    order = written(state)["id-1"]
    assert (order.what, order.node, order.who, order.why) == ("hold", "worker-1", "ann", "the disk")
    assert order.until is not None
    assert order.until - order.at == timedelta(hours=1.5)
    assert f"on hold  worker-1: by {orders.told(order)}" in say("status").output
    assert json.loads(say("status", "--json").output)["orders"]["id-1"]["why"] == "the disk"


def test_an_order_ends_when_a_person_ends_it_and_only_that_order(say: Say, state: Path) -> None:
    say("drain", "worker-1")
    outcome = say("unhold", "worker-1")
    assert (outcome.exit_code, "no hold of 'worker-1' is in force" in outcome.output) == (2, True)
    assert json.loads(say("undrain", "ip-1", "--json").output)["what"] == "drain"
    assert written(state)["id-1"].is_over(datetime.now(UTC))
    assert say("undrain", "worker-1").exit_code == 2


def test_it_is_too_late_to_undrain_once_the_workers_were_told_to_end(say: Say, state: Path) -> None:
    say("drain", "worker-1")
    now = datetime.now(UTC)
    with closing(State(state)) as memory:
        memory.begin_drain("id-1", "ip-1", "by-hand", now)
        memory.mark_fenced("id-1", now)
        memory.mark_shut_down("id-1", ["w"], now)
    outcome = say("undrain", "worker-1")
    assert (outcome.exit_code, "too late" in outcome.output) == (2, True)
    assert not written(state)["id-1"].is_over(datetime.now(UTC))


def test_what_nobody_may_touch_is_refused_with_why(say: Say, state: Path) -> None:
    outcome = say("drain", "worker-3")
    assert (outcome.exit_code, "KeepAlive" in outcome.output, written(state)) == (2, True, {})


def test_a_name_that_is_nearly_one_is_told(say: Say) -> None:
    outcome = say("hold", "wroker-1")
    assert (outcome.exit_code, "did you mean worker-1" in outcome.output) == (2, True)


@pytest.mark.parametrize("span", ["2", "2 weeks", "-1h", "0s", "h"])
def test_what_is_no_length_of_time_is_refused_with_what_would_be_right(span: str, say: Say) -> None:
    outcome = say("hold", "worker-1", "--for", span)
    assert (outcome.exit_code, "2h" in outcome.output) == (2, True)


def test_a_node_is_deleted_with_its_certificate_only(say: Say, state: Path) -> None:
    outcome = say("delete", "worker-2")
    assert (outcome.exit_code, written(state)) == (2, {})
    assert "is not proven empty: it takes work, and has 2 tasks. `drain worker-2`" in outcome.output
    now = datetime.now(UTC)
    with closing(State(state)) as memory:
        memory.begin_drain("id-2", "ip-2", "by-hand", now)
        memory.mark_fenced("id-2", now)
        memory.mark_shut_down("id-2", ["w"], now)
        assert "no clean exit shown of w" in say("delete", "worker-2").output
        memory.last_word("w")
    outcome = say("delete", "worker-2")
    assert (outcome.exit_code, written(state)["id-2"].what) == (0, "delete"), outcome.output
