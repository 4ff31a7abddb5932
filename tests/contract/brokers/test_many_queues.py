"""Queues that somebody has announced and that nobody makes: they cost a pass little, and fail none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from amqp import NotFound
from celery import Celery

from autoscaler_app.brokers import amqp, open_broker
from autoscaler_app.brokers.errors import BrokerUnreachable

MakeApp = Callable[..., Celery]


def test_more_queues_are_missing_than_a_connection_has_channels(amqp_url: str, make_app: MakeApp) -> None:
    """RabbitMQ closes a channel with each such answer; there are 2,047 on a connection."""
    app = make_app(amqp_url)
    app.send_task("t", queue="there")
    broker = open_broker(app, timeout=250)

    depths = broker.depths([*(f"missing-{number}" for number in range(2100)), "there"])

    assert depths["there"].waiting == 1
    assert sum(depth.waiting for depth in depths.values()) == 1
    assert len(depths) == 2101


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The queues that were asked for; of each the broker says that it is not there. One takes 0.4 seconds of
    five."""
    asked: list[str] = []

    class Seconds:
        seconds = 5.0

        def __init__(self, *_: object) -> None:
            self._before = len(asked)

        @property
        def left(self) -> float:
            return max(0.0, self.seconds - 0.4 * (len(asked) - self._before))

        def check(self) -> None:
            raise BrokerUnreachable("no time left")

    def missing(channel: Any, queue: str) -> int:
        asked.append(queue)
        if queue.startswith("made"):
            return 1
        raise NotFound(f"no {queue}")

    monkeypatch.setattr(amqp, "_ready", missing)
    monkeypatch.setattr(amqp, "Deadline", lambda seconds, what: Seconds())
    monkeypatch.setattr(amqp, "brief_connection", lambda app, deadline: app.connection_for_read())
    return asked


def test_what_is_missing_is_asked_for_in_turn_and_holds_up_nothing_that_is_there(
    asked: list[str], make_app: MakeApp
) -> None:
    broker = amqp.AmqpBroker(make_app("memory://"), timeout=5)
    names = [f"q{number}" for number in range(7)]
    first = broker.depths(names)
    assert asked == names[:3], "for a fifth of the time"
    assert first.keys() == set(names[:3]), "of the others nothing is known"
    asked.clear()
    second = broker.depths([*names, "made"])
    assert asked == ["q3", "q4", "q5"], "what is not known to be missing comes first"
    assert second.keys() == set(names[:6])
    asked.clear()
    third = broker.depths([*names, "made"])
    assert asked == ["q6", "made", "q0", "q1"], "then those that were asked for longest ago"
    assert third["made"].waiting == 1
    assert third.keys() == {*names, "made"}
    asked.clear()
    fourth = broker.depths([*names, *(f"new{number}" for number in range(4)), "made"])
    assert asked == ["made", "new0", "new1", "new2"], "what was there is asked for before all others"
    assert fourth.keys() == {*names, "new0", "new1", "new2", "made"}
    asked.clear()
    assert broker.depths(["q0"]).keys() == {"q0"}
    broker.depths(["q0", "q1", "made"])
    assert asked == ["q0", "q1", "made", "q0"], "what nobody asked for is forgotten"


def test_if_nothing_was_learnt_in_time_that_is_no_answer(
    asked: list[str], make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = amqp.AmqpBroker(make_app("memory://"), timeout=0)
    spent = amqp.Deadline(5, "")
    monkeypatch.setattr(type(spent), "seconds", 0.0)
    with pytest.raises(BrokerUnreachable):
        broker.depths(["q"])
    assert broker.depths([]) == {}
