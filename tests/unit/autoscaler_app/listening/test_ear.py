"""What the listener makes of one message, without a broker."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from autoscaler_app.listening.activity import Activity
from autoscaler_app.listening.listener import ECHO, Listener
from tests.unit.autoscaler_app.listening.events import report


def hear(listener: Listener, *events: Any) -> None:
    listener._receive(SimpleNamespace(body=b"", decode=lambda: list(events)))


class Judge:
    """A defect in judging what anybody says."""

    def event(self, event: Any, now: object) -> Any:
        if event["hostname"] == "celery@evil":
            raise RecursionError
        return event


def test_a_word_that_nobody_can_read_spoils_no_other_of_the_same_message() -> None:
    activity, trust = Activity(), Judge()
    listener = Listener(SimpleNamespace(), activity, trust=trust)  # type: ignore[arg-type]
    hear(listener, report("celery@evil"), 5, None, report("celery@n1"))
    assert activity.nodenames() == {"celery@n1"}
    assert activity.counters().rejected == 1


@pytest.mark.parametrize("sent", [None, "1", -1.0, 10**400, -(10**400), float("nan"), float("inf"), "later"])
def test_an_echo_that_is_none_of_ours_proves_nothing(sent: Any) -> None:
    listener = Listener(SimpleNamespace(), Activity())  # type: ignore[arg-type]
    listener._connected_at = time.monotonic()
    sent = time.monotonic() + 60 if sent == "later" else sent
    hear(listener, {"type": ECHO, "listener": listener._id, "sent": sent})
    hear(listener, {"type": ECHO, "listener": "another", "sent": time.monotonic()})
    assert listener.lag is None
    hear(listener, {"type": ECHO, "listener": listener._id, "sent": time.monotonic()})
    assert listener.lag is not None
