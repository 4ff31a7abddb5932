"""Two clusters on one server, each in a part of its own, have nothing to do with each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from celery import Celery

from autoscaler_app.brokers import open_broker
from autoscaler_app.listening.activity import Activity
from autoscaler_app.listening.listener import Listener
from autoscaler_app.passes.lease.amqp import AmqpClaim
from autoscaler_app.passes.lease.redis import RedisClaim
from tests.conftest import REDIS_URL, redis_database, virtual_host

WaitUntil = Callable[..., object]


@pytest.fixture
def apps(broker_url: str) -> Iterator[list[Celery]]:
    """One in each of two databases of a Redis, or virtual hosts of a RabbitMQ."""
    another = virtual_host() if broker_url.startswith("amqp") else redis_database(REDIS_URL)
    made = [Celery("one", broker=url, set_as_current=False) for url in (broker_url, next(another))]
    yield made
    for app in made:
        app.close()
    for _ in another:
        pass


def test_what_waits_is_the_demand_of_one(apps: list[Celery]) -> None:
    for _ in range(3):
        apps[0].send_task("work", queue="celery")

    assert [open_broker(app).depths(["celery"])["celery"].waiting for app in apps] == [3, 0]


def test_nodes_are_heard_by_their_own(apps: list[Celery], wait_until: WaitUntil) -> None:
    heard = [Activity(), Activity()]
    listeners = [Listener(app, activity) for app, activity in zip(apps, heard, strict=True)]
    for listener in listeners:
        listener.start()
    try:
        for app, listener, name in zip(apps, listeners, ("n1", "n2"), strict=True):
            wait_until(lambda listener=listener: listener.connected_since)
            with app.connection_for_write() as connection:
                app.events.Dispatcher(connection, hostname=f"celery@{name}").send("worker-heartbeat", freq=2)
        # Who hears his own node has heard everything that was said before it.
        wait_until(lambda: heard[1].host("n2"))
        wait_until(lambda: heard[0].host("n1"))
        assert heard[1].host("n1") is None
        assert heard[0].host("n2") is None
    finally:
        for listener in listeners:
            listener.stop()


def test_each_has_a_control_side(apps: list[Celery]) -> None:
    kind = RedisClaim if str(apps[0].conf.broker_url).startswith("redis") else AmqpClaim
    claims = [kind(app, name="control", seconds=30.0) for app in apps]
    assert [claim.hold(name) for claim, name in zip(claims, ("a", "b"), strict=True)] == ["", ""]
    for claim, name in zip(claims, ("a", "b"), strict=True):
        claim.let_go(name)
