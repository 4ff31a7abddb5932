"""Which broker an app has, and the one that reads it."""

from __future__ import annotations

from celery import Celery

from autoscaler_app.brokers.amqp import AmqpBroker
from autoscaler_app.brokers.broker import Broker
from autoscaler_app.brokers.connection import kind_of
from autoscaler_app.brokers.errors import BrokerUnsupported
from autoscaler_app.brokers.management import open_management
from autoscaler_app.brokers.redis import RedisBroker

REDIS, AMQP = "redis", ("amqp", "memory")  # the latter for tests of programs that use this one


def open_broker(app: Celery, *, timeout: float = 5.0, management_url: str = "") -> Broker:
    """The broker of this app, as its settings name it. Connects only when asked something.

    `timeout` is how many seconds one question may take in all. `management_url` is where RabbitMQ's
    management plugin answers, if it is to be asked; raises InvalidConfig if it is no such address.
    """
    kind = kind_of(app)
    if kind == REDIS:
        return RedisBroker(app, timeout=timeout)
    if kind in AMQP:
        management = open_management(app, management_url, timeout=timeout)
        return AmqpBroker(app, timeout=timeout, management=management)
    raise BrokerUnsupported(
        f"broker_url names a broker of kind {kind!r}; this program reads redis:// (also Valkey and "
        "Sentinel) and amqp:// (RabbitMQ)"
    )
