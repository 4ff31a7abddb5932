"""What came to a node and has not started: at most one is held, and none is given back twice."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker import state as worker_state

from celery_resources.intake.unstarted import Unstarted
from celery_resources.need.requirement import Requirement
from celery_resources.room.ledger import Ledger
from tests.unit.celery_resources.plain import Request

NEED = Ledger({"ncpus": 1}, 1).need(Requirement(constraints={"ncpus": 1}))


@pytest.fixture
def unstarted() -> Unstarted:
    return Unstarted(SimpleNamespace(task_buckets={}), 2.0)


def test_of_several_that_do_not_fit_one_is_kept_and_the_others_go_back(unstarted: Unstarted) -> None:
    requests = [Request(name) for name in ("a", "b", "c")]
    for request in requests:
        unstarted.hold(request, NEED)
    unstarted.serve(lambda request, need: False)
    assert [each["id"] for each in unstarted.told()] == ["a"]
    assert [request.went_back for request in requests] == [[], [True], [True]]


def test_one_that_is_revoked_while_it_is_held_never_starts(
    unstarted: Unstarted, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []
    request = Request("a")
    unstarted.hold(request, NEED)
    monkeypatch.setattr(worker_state, "revoked", {"a"})
    request.is_revoked = True
    unstarted.serve(lambda request, need: not started.append(request))
    assert (started, unstarted.holds, request.went_back) == ([], False, [])


def test_what_was_settled_elsewhere_while_it_waited_for_its_time_is_not_given_back_and_forgotten(
    unstarted: Unstarted,
) -> None:
    expired, waits = Request("expired"), Request("waits")
    for request in (expired, waits):
        unstarted.received(request)
    expired.acknowledged = True
    unstarted.give_back_all()
    assert (expired.went_back, waits.went_back, unstarted.returned) == ([], [True], 1)
    unstarted.received(expired)
    unstarted.sweep()
    assert unstarted.scheduled == 0
