"""A channel to Redis sends by one client for as long as its pool is the same."""

from __future__ import annotations

from typing import Any

from kombu import Connection

from celery_resources.insides.redis_channel.one_client import keep_clients


def test_a_client_is_made_once_for_each_pool(redis_url: str) -> None:
    keep_clients()
    with Connection(redis_url) as connection:
        channel: Any = connection.channel()
        with channel.conn_or_acquire() as first, channel.conn_or_acquire() as second:
            assert first is second
        waits = channel.client
        assert waits is not first, "by this one the worker waits"
        channel._disconnect_pools()
        with channel.conn_or_acquire() as third:
            assert third is not first
            assert third.connection_pool is channel.pool
            assert third.ping()
