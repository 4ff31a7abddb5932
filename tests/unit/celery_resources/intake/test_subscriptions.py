"""When a queue is added to those that are consumed."""

from __future__ import annotations

import time
from typing import Any

import pytest

from celery_resources.intake.subscriptions import SETTLE, Subscriptions

ALL = {"a", "b", "c"}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def _chosen(last_addition: float, *active: str) -> Any:
    made = Subscriptions(None, lambda: None)
    made.active = set(active)
    made._added_at = last_addition
    return made


def test_soon_after_an_addition_the_next_one_is_put_off_and_not_forgotten(clock: list[float]) -> None:
    chosen = _chosen(clock[0], "a")
    chosen.choose(allowed=ALL, fitting={"a", "b"}, idle=False)
    assert chosen.active == {"a"}
    assert chosen.postponed == pytest.approx(SETTLE)
    clock[0] += SETTLE / 2
    chosen.choose(allowed=ALL, fitting={"a", "b"}, idle=False)
    assert chosen.postponed == pytest.approx(SETTLE / 2)
    clock[0] += chosen.postponed
    chosen.choose(allowed=ALL, fitting={"a", "b"}, idle=False)
    assert chosen.active == {"a", "b"}
    assert chosen.postponed == 0


@pytest.mark.parametrize(("active", "idle"), [("a", True), ("c", False)])
def test_a_node_that_would_wait_for_nothing_adds_at_once(clock: list[float], active: str, idle: bool) -> None:
    chosen = _chosen(clock[0], active)
    chosen.choose(allowed=ALL, fitting={"a", "b"}, idle=idle)
    assert chosen.active == {"a", "b"}
    assert chosen.postponed == 0


def test_nothing_is_put_off_when_nothing_is_to_be_added(clock: list[float]) -> None:
    chosen = _chosen(clock[0], "a", "b")
    chosen.choose(allowed=ALL, fitting={"a"}, idle=False)
    assert chosen.active == {"a"}
    assert chosen.postponed == 0
