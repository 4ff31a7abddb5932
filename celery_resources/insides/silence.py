"""A broker that says nothing any more, and does not say that either, holds a worker up for a while only.

Nothing bounds how long Celery waits for an answer of its broker: a network that forgot the connection, or a
frozen server, stops its event loop until the kernel gives up (a quarter of an hour, or never, where somebody
in between still takes the bytes). On RabbitMQ even to close such a connection, which Celery does when
heartbeats are missing, is to wait for an answer. Meanwhile nobody hears of the worker, which looks dead.

So waits of the loop are bounded. Only those: a task that publishes something waits as it always did. And when
a connection is lost, those are dropped that lie ready to publish over: RabbitMQ does not answer what is
published, so answers would be sent into such a one for ever.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from kombu.transport import pyamqp, redis

PATIENCE = 30.0
"""Seconds, unless `broker_transport_options` has a `socket_timeout` (Redis) or `read_timeout` (RabbitMQ)."""

_loops: set[int] = set()
"""Processes in whose main thread a worker's loop turns. Their children, which run tasks, are others."""


def bound_waits() -> None:
    """From now on, for every connection to a broker that the main thread of this process makes. May be called
    twice.
    """
    _loops.add(os.getpid())
    if not hasattr(redis.Channel._connparams, "bounds"):
        redis.Channel._connparams = _bounding_redis(redis.Channel._connparams)
        pyamqp.Transport.establish_connection = _bounding_amqp(pyamqp.Transport.establish_connection)


def drop_pooled(app: Any) -> None:
    """Let what is published from now on go over new connections."""
    app.pool.resize(app.pool.limit, force=True, ignore_errors=True, reset=True)


def _is_a_loop() -> bool:
    return os.getpid() in _loops and threading.current_thread() is threading.main_thread()


def _bounding_redis(parameters: Callable[..., Any]) -> Callable[..., Any]:
    def _connparams(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = parameters(self, *args, **kwargs)
        if found.get("socket_timeout") is None and _is_a_loop():
            found["socket_timeout"] = PATIENCE
        return found

    _connparams.bounds = True  # type: ignore[attr-defined]
    return _connparams


def _bounding_amqp(establish: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def establish_connection(self: Any) -> Any:
        connection = establish(self)
        if _is_a_loop():
            # Python's own timeout: that of the system, which the option is for, is tried again for ever.
            connection.sock.settimeout((self.client.transport_options or {}).get("read_timeout") or PATIENCE)
        return connection

    return establish_connection
