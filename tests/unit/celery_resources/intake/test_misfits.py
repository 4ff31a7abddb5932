"""What comes to a node that can never run it: kept, named once in the log, given back."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from celery_resources.intake import misfits
from celery_resources.intake import unstarted as unstarted_module
from celery_resources.need.requirement import Requirement
from tests.unit.celery_resources.plain import Request, kept_house, plain_gate


def test_what_can_never_run_here_is_kept_while_the_rest_of_its_queue_comes_and_then_goes_back(
    celery_has: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = SimpleNamespace(monotonic=lambda: clock.now, time=time.time, now=100.0)
    for module in (misfits, unstarted_module):
        monkeypatch.setattr(module, "time", clock)
    submitted: list[Any] = []
    gate = kept_house(plain_gate(submitted))
    big, small = Request("big", constraints={"ncpus": 64}), Request("small")
    for request in (big, small):
        celery_has[request.id] = request
        gate.asked(request)
    assert submitted == [small]
    assert (big.went_back, gate.unstarted.scheduled, len(gate.unstarted)) == ([], 1, 1)
    assert list(gate.serves) == ["q"], "its queue is consumed meanwhile"
    to_the_ends: list[bool] = []
    monkeypatch.setattr(
        unstarted_module, "give_back", lambda request, to_the_end: to_the_ends.append(to_the_end)
    )
    clock.now += unstarted_module.ASIDE_FOR + 1
    gate._housekeeping()
    assert (to_the_ends, len(gate.unstarted)) == ([True], 0), "behind all others, where that can be said"
    assert list(gate.serves) == [], "whoever can run it has it first"
    clock.now += misfits.PAUSE + 0.1
    gate._housekeeping()
    assert list(gate.serves) == ["q"]
    gate.asked(again := Request("big", constraints={"ncpus": 64}))
    assert again.went_back == []
    assert [each.levelname for each in caplog.records if "big" in each.getMessage()] == ["ERROR"], "told once"


def test_of_many_that_can_never_run_here_some_are_kept_and_then_their_queue_is_left_alone(
    celery_has: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unstarted_module, "MOST_ASIDE", 2)
    gate = plain_gate([])
    requests = [Request(name, constraints={"ncpus": 64}) for name in ("a", "b", "c")]
    for request in requests:
        gate.asked(request)
    assert [request.went_back for request in requests] == [[], [], [True]]
    assert list(gate.serves) == []
    gate.fence("told")
    assert [request.went_back for request in requests] == [[True]] * 3, "a fenced node keeps nothing"


def test_a_join_takes_back_that_a_queue_is_left_alone(celery_has: dict[str, Any]) -> None:
    gate = plain_gate([])
    gate.misfits.leave("q", 60.0)
    gate.misfits.leave("q", -1.0)
    gate.misfits.look()
    assert list(gate.serves) == [], "what was said first holds for longer"
    gate.join({"q": Requirement({"ncpus": 1})})
    assert list(gate.serves) == ["q"]


def test_a_gang_s_task_that_nobody_reserved_this_node_for_is_kept_and_not_begun(
    celery_has: dict[str, Any],
) -> None:
    submitted: list[Any] = []
    gate, task = plain_gate(submitted), Request("task", constraints={"ncpus": 1}, node_count=2)
    gate.asked(task)
    assert (submitted, task.went_back, len(gate.unstarted)) == ([], [], 1)
