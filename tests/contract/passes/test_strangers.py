"""A worker that is on no node of the cloud is remembered while it may come back, and not for ever."""

from __future__ import annotations

from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from autoscaler_app.passes.control import Control
from autoscaler_app.passes.one_pass import make_pass
from tests.contract.passes.conftest import Hands


def listens(control: Control, since: datetime | None) -> None:
    """As in the control worker: this much of a listener is asked for in a pass."""
    listener: Any = SimpleNamespace(
        connected_since=since, connections=1, lag=None, clock_was_set=lambda by, now: None, stop=lambda: None
    )
    control.listener = listener


def heartbeat(control: Control, hands: Hands, nodename: str) -> None:
    said = {"type": "worker-heartbeat", "hostname": nodename, "pid": 7, "timestamp": hands.wall.timestamp()}
    control.activity.apply(said, hands.wall)


@pytest.fixture
def stranger(control: Control, hands: Hands) -> str:
    """It said that it lives, and never what it does."""
    heartbeat(control, hands, "celery@evicted")
    return "celery@evicted"


def test_one_that_has_been_silent_for_too_long_is_forgotten(
    control: Control, hands: Hands, stranger: str
) -> None:
    listens(control, hands.wall)
    for seconds, is_known in ((1, True), (590, True), (20, False)):
        hands.run(seconds)
        assert make_pass(control).error == ""
        assert (stranger in control.activity.nodenames()) == is_known, hands.wall


def test_while_we_could_not_hear_it_is_not_silent(control: Control, hands: Hands, stranger: str) -> None:
    hands.run(1000)
    listens(control, hands.wall)
    hands.run(500)
    make_pass(control)
    listens(control, None)
    hands.run(500)
    make_pass(control)
    assert stranger in control.activity.nodenames()


def test_one_sign_of_life_is_enough(control: Control, hands: Hands, stranger: str) -> None:
    listens(control, hands.wall)
    for _ in range(3):
        hands.run(400)
        heartbeat(control, hands, stranger)
        make_pass(control)
    assert stranger in control.activity.nodenames()
