"""How an app chooses the transport, and how it goes back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from celery import Celery
from kombu import Connection
from kombu.transport import redis as stock

import redis_keeper

URLS = ["redis://localhost/1", "rediss://localhost/1", "sentinel://localhost:26379"]


@pytest.fixture(autouse=True)
def _not_installed() -> Iterator[None]:
    redis_keeper.uninstall()
    yield
    redis_keeper.uninstall()


def kind(url: str) -> type:
    found: type = Connection(url).get_transport_cls()
    return found


@pytest.mark.parametrize("url", URLS)
def test_every_url_of_redis_means_it_once_it_is_installed_and_not_after(url: str) -> None:
    before = kind(url)
    redis_keeper.install()
    redis_keeper.install()
    sentinel = url.startswith("sentinel")
    assert kind(url) is (redis_keeper.SentinelTransport if sentinel else redis_keeper.Transport)
    redis_keeper.uninstall()
    assert kind(url) is before is (stock.SentinelTransport if sentinel else stock.Transport)


def test_other_brokers_stay_what_they_are() -> None:
    before = kind("amqp://")
    redis_keeper.install()
    assert kind("amqp://") is before


def test_one_setting_of_an_app_chooses_it() -> None:
    app = Celery(broker="redis://localhost/1", set_as_current=False)
    app.conf.broker_transport = "redis_keeper:Transport"
    assert app.connection_for_read().get_transport_cls() is redis_keeper.Transport
    assert app.connection_for_write().transport.driver_type == "redis"


def test_of_several_urls_each_means_it() -> None:
    redis_keeper.install()
    with Connection("redis://localhost/1;redis://localhost/2") as connection:
        connection.maybe_switch_next()
        assert connection.get_transport_cls() is redis_keeper.Transport
