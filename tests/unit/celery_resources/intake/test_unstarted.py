"""What came to a node and has not started: at most one is held, and none is given back twice."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker import state as worker_state

from celery_resources.intake.unstarted import Unstarted
from celery_resources.need.requirement import Requirement
from celery_resources.room.ledger import Ledger
from tests.unit.celery_resources.plain import Request

NOON = float(int(time.time()))
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
    assert (started, unstarted.held, request.went_back) == ([], [], [])


def test_what_was_settled_elsewhere_while_it_waited_for_its_time_is_not_given_back_and_forgotten(
    unstarted: Unstarted,
) -> None:
    expired, waits = Request("expired"), Request("waits")
    for request in (expired, waits):
        unstarted.comes_later(request)
    expired.acknowledged = True
    unstarted.give_back_all()
    assert (expired.went_back, waits.went_back, unstarted.returned) == ([], [True], 1)
    unstarted.comes_later(expired)
    unstarted.sweep()
    assert unstarted.scheduled == 0


def test_what_waits_for_its_time_is_named_with_its_queue_and_time_the_soonest_first(
    unstarted: Unstarted,
) -> None:
    for name, seconds in (("late", 7200), ("soon", 3600), ("due", -1)):
        request = Request(name, queue="q")
        request.eta = datetime.fromtimestamp(NOON + seconds, UTC)
        unstarted.comes_later(request)
    said = unstarted.coming()
    assert [(each["id"], each["queue"], each["at"]) for each in said["tasks"]] == [
        ("soon", "q", NOON + 3600),
        ("late", "q", NOON + 7200),
    ]
    assert (said["more"], said["went_back"]) == (0, [])


def test_what_goes_back_before_its_time_is_named_for_a_while_each_with_a_number(
    unstarted: Unstarted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else could know when it is due: it stands in its queue like any other."""
    for name in ("a", "b"):
        request = Request(name)
        request.eta = datetime.fromtimestamp(NOON + 3600, UTC)
        unstarted.comes_later(request)
        unstarted.give_back_all()
    back = unstarted.coming()["went_back"]
    assert [(each["id"], each["back"]) for each in back] == [("a", 1), ("b", 2)]
    later = time.monotonic() + 121
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert unstarted.coming()["went_back"] == []


def test_of_very_many_for_later_the_soonest_are_named_and_the_others_counted(unstarted: Unstarted) -> None:
    for number in range(501):
        request = Request(str(number))
        request.eta = datetime.fromtimestamp(NOON + 3600 + number, UTC)
        unstarted.comes_later(request)
    said = unstarted.coming()
    assert (len(said["tasks"]), said["tasks"][-1]["id"], said["more"]) == (500, "499", 1)


def test_what_waits_for_its_rate_is_held_one_of_each_queue(unstarted: Unstarted) -> None:
    """The node has work: fenced as idle, it would give this back, and be un-fenced for it."""
    for name, queue in (("a", "q"), ("b", "q"), ("c", "other")):
        unstarted.comes_later(Request(name, queue=queue))
    assert sorted(each["queue"] for each in unstarted.told()) == ["other", "q"]
