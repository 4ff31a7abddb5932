"""Who is hungry: heard, with room, and starting nothing of what waits in its queues."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from autoscaler_app.listening.activity import HeldTask, HostView, RunningTask
from autoscaler_app.listening.activity.accounts import GangSaid
from autoscaler_app.memory.state import Drain
from autoscaler_app.passes.observe.hunger import hungry_since
from autoscaler_app.passes.snapshot import QueueSeen

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
AT = NOW.timestamp()
HUNGRY = HostView(hostname="ip-1", queues=("celery", "other"))
WAITING = QueueSeen(queue="celery", waiting=3)


def since(
    *views: HostView, queue: QueueSeen = WAITING, before: dict[str, float] | None = None, **drains: Drain
) -> dict[str, float]:
    return hungry_since(before or {}, views, [queue], drains, NOW)


def test_it_is_hungry_from_when_it_was_first_seen_to_be() -> None:
    assert since(HUNGRY) == {"ip-1": AT}
    assert since(HUNGRY, before={"ip-1": AT - 60}) == {"ip-1": AT - 60}


@pytest.mark.parametrize(
    "facts",
    [
        {"running": (RunningTask(id="t", name="t", queue="q", started=NOW, nodename="n"),)},
        {"held": (HeldTask(id="t", queue="q"),)},
        {"fenced": True},
        {"gang": GangSaid(id="g", members=("celery@ip-1",), role="waits")},
        {"queues": ("other",)},
    ],
    ids=lambda facts: next(iter(facts)),
)
def test_one_that_does_or_is_kept_from_something_is_not(facts: dict[str, Any]) -> None:
    """And once it took something its time begins anew."""
    assert since(replace(HUNGRY, **facts), before={"ip-1": AT - 60}) == {}


def test_nobody_is_hungry_for_what_does_not_wait_or_takes_several_nodes() -> None:
    assert since(HUNGRY, queue=replace_queue(waiting=0)) == {}
    assert since(HUNGRY, queue=replace_queue(node_count=2)) == {}


def replace_queue(**facts: Any) -> QueueSeen:
    return QueueSeen(**{"queue": "celery", "waiting": 3, **facts})


def test_one_that_goes_for_it_stays_hungry_while_it_is_fenced() -> None:
    """Else what it did not take would open it again."""
    fenced = replace(HUNGRY, hostname="ip-1.internal", fenced=True)
    before = {"ip-1.internal": AT - 300}

    def going(reason: str) -> Drain:
        return Drain(node_id="n1", hostname="IP-1", reason=reason, chosen=NOW - timedelta(seconds=60))

    assert since(fenced, before=before, n1=going("not-eating")) == before
    assert since(fenced, before=before, n1=going("surplus")) == {}
    assert since(fenced, n1=going("not-eating")) == {}, "it was not hungry before"
    assert since(replace(fenced, fenced=False), queue=replace_queue(waiting=0), before=before) == {}
