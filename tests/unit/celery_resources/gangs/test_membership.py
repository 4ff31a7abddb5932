"""A gang has its nodes for itself: its head waits for what it and the others ran before."""

from __future__ import annotations

from typing import Any

import pytest

from celery_resources.gangs import membership
from celery_resources.gangs.gang import PATIENCE, Gang, GangRefused, Role
from celery_resources.need.requirement import Requirement
from tests.unit.celery_resources.plain import Request, plain_gate

GANG = Gang(id="q/1", members=("celery@n1", "celery@n2"), queue="q", requirement=Requirement(node_count=2))


def _busy(celery_has: dict[str, Any]) -> Any:
    """A node with room for two that runs one."""
    gate = plain_gate([], ncpus=2)
    celery_has["small"] = small = Request("small")
    gate.asked(small)
    return gate


@pytest.mark.parametrize("signs", [False, True])
def test_a_member_says_once_that_it_is_empty(
    celery_has: dict[str, Any], monkeypatch: pytest.MonkeyPatch, signs: bool
) -> None:
    """One that signs leaves it to the control side: the head would not believe it."""
    told: list[tuple[str, str]] = []
    monkeypatch.setattr(membership, "tell_head", lambda _, gang, name: told.append((gang.id, name)))
    gate = _busy(celery_has)
    gate.sealing = object() if signs else None
    gate.membership.follow(GANG)
    gate.membership.look()
    assert told == []
    del celery_has["small"]
    gate._tick()
    for _ in range(2):
        gate.membership.look()
    assert told == ([] if signs else [("q/1", "celery@n2")])


def test_one_that_is_empty_when_it_begins_to_follow_has_said_so() -> None:
    gate = plain_gate([])
    gate.membership.follow(GANG)
    assert not gate.duty.owes


def test_a_head_takes_nothing_until_those_it_lacks_are_ready() -> None:
    gate = plain_gate([])
    gate.membership.lead(GANG, ["celery@n2"])
    assert gate.duty.told()["lacks"] == ["celery@n2"]
    need = gate.books.need_of_queue("q")
    assert not gate.may_start("q", need)
    early = Request("early")
    gate.asked(early)
    assert early.went_back == [True]
    gate.membership.ready("q/1", ["celery@n2"])
    assert gate.may_start("q", need)
    assert "lacks" not in gate.duty.told()


def test_a_head_takes_nothing_beside_what_it_runs_itself(celery_has: dict[str, Any]) -> None:
    gate = _busy(celery_has)
    gate.membership.lead(GANG, ["celery@n1"])
    need = gate.books.need_of_queue("q")
    assert not gate.may_start("q", need)
    del celery_has["small"]
    gate._tick()
    assert gate.may_start("q", need)


def test_a_head_that_is_kept_waiting_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    freed: list[Gang] = []
    monkeypatch.setattr(membership, "release_members", lambda _, gang, queue: freed.append(gang))
    gate = plain_gate([])
    gate.membership.lead(GANG, ["celery@n2"])
    gate.membership.look()
    assert (freed, gate.duty.role) == ([], Role.WAITS)
    gate.duty._since -= PATIENCE + 1
    gate.membership.look()
    assert (freed, gate.duty.gang) == ([GANG], None)


def test_ready_is_for_the_head_of_that_gang_alone() -> None:
    gate = plain_gate([])
    gate.membership.follow(GANG)
    with pytest.raises(GangRefused, match="does not lead gang q/1"):
        gate.membership.ready("q/1", ["celery@n2"])
