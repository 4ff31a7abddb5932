"""The last word of a worker is said after a clean end, and after no other."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker import state as worker_state

from celery_resources.node import farewell
from celery_resources.node.sealing import Sealing
from celery_resources.settings import Settings
from celery_resources.trust.signing import Kind, opened
from tests.unit.celery_resources.plain import Request, plain_gate


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The notes that were sent."""
    notes: list[dict[str, Any]] = []
    monkeypatch.setattr(farewell, "send_note", lambda app, queue, **facts: notes.append(facts))
    return notes


@pytest.fixture
def worker() -> Any:
    """A worker that ended cleanly."""
    gate = plain_gate([])
    gate.settings, gate.closed_connected = Settings(control_queue="autoscale"), True
    consumer = SimpleNamespace(resource_gate=gate)
    return SimpleNamespace(consumer=consumer, hostname="celery@n1", exitcode=None, app=None)


def test_after_a_clean_end_it_is_said(worker: Any, said: list[dict[str, Any]]) -> None:
    farewell.say_farewell(worker)
    [note] = said
    assert (note["kind"], note["hostname"], note["nodename"]) == ("left", "n1", "celery@n1")
    assert (note["pid"], note["started"]) == (os.getpid(), 12.5), "of which process it is"


def test_a_node_that_signs_signs_it(worker: Any, said: list[dict[str, Any]], tmp_path: Path) -> None:
    worker.consumer.resource_gate.sealing = Sealing(tmp_path, "celery@n1", None)
    farewell.say_farewell(worker)
    body, by = opened(Kind.FAREWELL, said[0], frozenset({"policy"}))
    assert (body["kind"], body["hostname"], by.node) == ("left", "n1", "celery@n1")


def test_one_that_was_told_to_end_at_once_says_nothing(
    worker: Any, said: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_state, "should_terminate", True)
    farewell.say_farewell(worker)
    assert said == []


def test_one_that_fails_says_nothing(worker: Any, said: list[dict[str, Any]]) -> None:
    worker.exitcode = 1
    farewell.say_farewell(worker)
    assert said == []


def test_one_whose_connection_was_lost_before_says_nothing(worker: Any, said: list[dict[str, Any]]) -> None:
    worker.consumer.resource_gate.closed_connected = False
    farewell.say_farewell(worker)
    assert said == []


def test_one_whose_task_did_not_end_says_nothing_and_one_whose_task_has_just_ended_does(
    worker: Any, said: list[dict[str, Any]], celery_has: dict[str, Any]
) -> None:
    gate, task = worker.consumer.resource_gate, Request("task")
    celery_has["task"] = task
    gate.asked(task)
    farewell.say_farewell(worker)
    assert said == []
    # Nobody has looked at the books since it ended.
    del celery_has["task"]
    farewell.say_farewell(worker)
    assert len(said) == 1
