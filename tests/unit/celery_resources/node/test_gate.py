"""What the gate does with a message, by its books. Celery's part is played by a few plain objects."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker import state as worker_state

from celery_resources.gangs.gang import Duty, Gang, Role
from celery_resources.intake.unstarted import Unstarted
from celery_resources.node import gate as gate_module
from celery_resources.node.gate import ResourceGate
from celery_resources.node.standing import Standing, StandingFile
from celery_resources.room.books import Books
from celery_resources.room.node import NodeFacts
from celery_resources.sending.kinds import Kinds
from celery_resources.settings import Settings


class Request:
    """A request as Celery's books have it."""

    acknowledged = False
    time_start: float | None = None
    name = "t"
    _apply_result = None

    def __init__(self, name: str) -> None:
        self.id = name
        self.request_dict: dict[str, Any] = {}
        self.delivery_info = {"routing_key": "q"}


@pytest.fixture
def celery_has(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Celery's own list of the requests that have not ended."""
    requests: dict[str, Any] = {}
    monkeypatch.setattr(worker_state, "requests", requests)
    return requests


def _gate(submitted: list[Any]) -> Any:
    """A node of one cpu."""
    gate: Any = ResourceGate.__new__(ResourceGate)
    gate.books = Books(NodeFacts(resources={"ncpus": 1}), 4, Kinds(Settings()))
    gate.ledger = gate.books.ledger
    gate.unstarted = Unstarted(None, 2.0)
    gate.duty, gate.closing = Duty(None), False
    gate.standing = SimpleNamespace(now=Standing())
    gate.reservation = SimpleNamespace(allows=lambda *_: True, started=lambda *_: None)
    gate.flow = SimpleNamespace(update=lambda: None, is_steady=lambda _: False)
    gate.telling = SimpleNamespace(changed=lambda: None)
    gate.subscriptions = SimpleNamespace(is_stuck=False, back_off=lambda: None, credit_was_moved=False)
    gate.consumer = SimpleNamespace(qos=None)
    gate._submit = submitted.append
    return gate


def test_what_is_held_starts_at_once_when_an_end_is_seen_by_way_of_the_next_message(
    celery_has: dict[str, Any],
) -> None:
    submitted: list[Any] = []
    gate = _gate(submitted)
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


def test_only_what_ran_counts_as_a_run(celery_has: dict[str, Any]) -> None:
    gate = _gate([])
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


def test_a_gang_that_ends_on_a_full_disk_does_not_end_the_worker(
    celery_has: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(gate_module, "release_members", lambda *_: None)
    gate = _gate([])
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
