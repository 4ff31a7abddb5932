"""RabbitMQ's management plugin, asked for what is unacknowledged. On a node that the test may break."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery

from autoscaler_app.brokers import CountUnknown, open_broker
from autoscaler_app.brokers.management import VARIABLE
from scalelib.errors import InvalidConfig
from tests.contract.brokers.conftest import Wire
from tests.rabbitmq import RabbitMQ

MakeApp = Callable[..., Celery]
WaitUntil = Callable[..., object]
pytestmark = pytest.mark.timeout(300)  # the node may have to be started first


@pytest.fixture
def app(own_amqp_url: str, make_app: MakeApp) -> Celery:
    return make_app(own_amqp_url)


@pytest.fixture
def held(app: Celery) -> Iterator[None]:
    """Three of five messages were taken, and one from the control queue."""
    for queue in ("work", "work", "work", "other", "other", "autoscale"):
        app.send_task("some.task", queue=queue)
    with app.connection_for_read() as connection:
        for queue in ("work", "work", "other", "autoscale"):
            assert app.amqp.queues[queue](connection.default_channel).get()
        yield


def test_what_was_taken_is_counted_over_all_queues_but_the_control_queue(
    app: Celery, held: None, own_rabbitmq: RabbitMQ, wait_until: WaitUntil
) -> None:
    broker = open_broker(app, management_url=own_rabbitmq.management_url)

    def count() -> int | None:
        try:
            return broker.unacked()
        except CountUnknown:  # the first statistics of the virtual host have not been made
            return None

    wait_until(lambda: count() == 3, what="the statistics have it")
    assert open_broker(app).unacked() is None, "nobody asks the plugin where it is not named"


def test_the_environment_comes_first_and_no_password_is_in_any_log(
    app: Celery,
    own_amqp_url: str,
    own_rabbitmq: RabbitMQ,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    own_rabbitmq.add_user("watcher", "s3cr:t@", "monitoring", own_amqp_url)
    monkeypatch.setenv(
        VARIABLE, own_rabbitmq.management_url.replace("http://", "http://watcher:s3cr%3At%40@")
    )
    caplog.set_level(logging.DEBUG)

    assert open_broker(app, management_url="http://127.0.0.1:1").unacked() == 0

    assert "/api/queues/" in caplog.text, "it was asked, and that is logged"
    assert "s3cr" not in caplog.text


@pytest.mark.parametrize(
    ("login", "said"),
    [("guest:wr0ng", "answered 401: user 'guest'"), ("nobody:n0tag", "answered 401: user 'nobody'")],
    ids=["wrong-password", "user-without-the-tag"],
)
def test_a_user_who_may_not_read_is_told_what_is_needed_and_not_the_password(
    app: Celery,
    own_amqp_url: str,
    own_rabbitmq: RabbitMQ,
    monkeypatch: pytest.MonkeyPatch,
    login: str,
    said: str,
) -> None:
    own_rabbitmq.add_user("nobody", "n0tag", "", own_amqp_url)
    monkeypatch.setenv(VARIABLE, own_rabbitmq.management_url.replace("http://", f"http://{login}@"))
    with pytest.raises(CountUnknown) as unknown:
        open_broker(app).unacked()
    assert said in str(unknown.value)
    assert VARIABLE in str(unknown.value)
    assert login.partition(":")[2] not in str(unknown.value)


def test_a_virtual_host_that_is_not_there_is_no_empty_one(
    own_rabbitmq: RabbitMQ, own_amqp_url: str, make_app: MakeApp
) -> None:
    broker = open_broker(make_app(f"{own_amqp_url}-not"), management_url=own_rabbitmq.management_url)
    with pytest.raises(CountUnknown, match="is there a virtual host"):
        broker.unacked()


def test_nobody_there_and_a_black_hole_are_unknown_by_the_deadline(
    app: Celery, own_rabbitmq: RabbitMQ
) -> None:
    with pytest.raises(CountUnknown, match="no answer"):
        open_broker(app, management_url="http://127.0.0.1:1").unacked()
    wire = Wire(own_rabbitmq.management_url)
    try:
        broker = open_broker(app, timeout=1, management_url=wire.url)
        assert broker.unacked() == 0
        wire.silence()
        began = time.monotonic()
        with pytest.raises(CountUnknown, match="no answer"):
            broker.unacked()
        assert time.monotonic() - began < 8
    finally:
        wire.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("rabbit:15672", "write it like http"),
        ("ftp://rabbit", "write it like http"),
        ("http://rabbit:many", "write it like http"),
        ("http://me:s3cret@rabbit:15672", VARIABLE),
    ],
)
def test_what_is_no_address_or_holds_a_password_is_refused_at_once(
    make_app: MakeApp, url: str, said: str
) -> None:
    with pytest.raises(InvalidConfig) as refused:
        open_broker(make_app("amqp://127.0.0.1:1"), management_url=url)
    assert said in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_a_page_that_is_none_of_the_plugin_is_unknown(
    app: Celery, own_rabbitmq: RabbitMQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answered(content: bytes) -> Any:
        broker = open_broker(app, management_url=own_rabbitmq.management_url)
        monkeypatch.setattr(broker._management, "_get", lambda *_: content)  # type: ignore[attr-defined]
        return broker.unacked()

    assert answered(b'[{"name":"a","messages_unacknowledged":2},{"name":"new"}]') == 2
    assert answered(b"[]") == 0
    for nonsense in (b"<html>", b"{}", b'[{"name":"a"}]', b""):
        with pytest.raises(CountUnknown):
            answered(nonsense)
