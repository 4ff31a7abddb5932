"""Connections that do not outlive a question, and do not wait longer than they were told to.

Two facts make this a module of its own. A pooled Celery connection stays broken after an error inside it,
and py-amqp waits for ever: its `read_timeout` sets SO_RCVTIMEO, whose EAGAIN its read loop then retries
(`amqp/transport.py`, `TCPTransport._read`). A timeout on the Python socket is not retried.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import amqp
import redis
from celery import Celery
from kombu import Connection
from kombu.exceptions import KombuError

from autoscaler_app.brokers.errors import BrokerError, BrokerRefused, BrokerUnreachable
from autoscaler_app.brokers.insides import cut_waits

NEVER = 10 * 365 * 86_400
"""Seconds. A visibility timeout with which a reader never sweeps the messages of workers back."""

_REFUSALS = (
    amqp.ChannelError,
    amqp.NotAllowed,
    redis.exceptions.AuthenticationError,
    redis.exceptions.AuthorizationError,
    redis.exceptions.ResponseError,
)
_TROUBLES = (OSError, KombuError, amqp.AMQPError, redis.RedisError)


class Deadline:
    """A moment by which something has to be done."""

    def __init__(self, seconds: float, what: str) -> None:
        self.seconds = seconds
        self._what = what
        self._at = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds that remain; 0 if it has passed."""
        return max(0.0, self._at - time.monotonic())

    def check(self) -> None:
        """Raise `BrokerUnreachable` if it has passed."""
        if not self.left:
            raise BrokerUnreachable(f"the broker did not finish in {self.seconds:g} s: {self._what}")


def kind_of(app: Celery) -> str:
    """The driver of the app's broker: `redis`, `amqp`, `memory`, … (no connection is made)."""
    return str(app.connection_for_read().transport.driver_type)


@contextmanager
def brief_connection(
    app: Celery,
    deadline: Deadline,
    *,
    write: bool = False,
    heartbeat: int | None = None,
    client_name: str = "",
) -> Iterator[Any]:
    """An open connection to the app's broker, closed at the end; every foreign error becomes a `BrokerError`.

    No single read or write waits longer than half of what was left until the deadline, so that tidying up
    after one that failed still fits; who asks many questions calls `deadline.check()` between them. A
    connection that is to stay open longer than a question gives a `heartbeat` in seconds (AMQP only), and by
    `client_name` RabbitMQ's lists of connections say whose it is.
    """
    where = ""
    connection = None
    try:
        patience = max(0.05, deadline.left / 2)
        named: dict[str, object] = {"client_properties": {"connection_name": client_name}}
        options = {
            "redis": _redis_options(patience, heartbeat),
            "amqp": named if client_name else {},
        }.get(kind_of(app), {})
        connection = _connect(app, write=write, patience=patience, heartbeat=heartbeat, options=options)
        where = connection.as_uri()
        _bound_waiting(connection, patience)
        yield connection
    except BrokerError:
        _drop(connection)
        raise
    except _REFUSALS as error:
        _drop(connection)
        raise BrokerRefused(f"the broker {where or _address(app)} refused: {error}") from error
    except _TROUBLES as error:
        _drop(connection)
        reason = str(error) or type(error).__name__
        raise BrokerUnreachable(f"no answer from the broker {where or _address(app)}: {reason}") from error
    except BaseException:
        _drop(connection)
        raise
    else:
        _close(connection)


def _redis_options(patience: float, heartbeat: int | None) -> dict[str, object]:
    options: dict[str, object] = {
        "socket_timeout": patience,
        "socket_connect_timeout": patience,
        "retry_on_timeout": False,
        # Whoever consumes from Redis sweeps the messages of others back that are older than its own timeout.
        # We never do: the workers may have been given longer.
        "ack_emulation": False,
        "visibility_timeout": NEVER,
    }
    if heartbeat is None:
        # How long a blocking pop lasts, and so how long closing may take.
        options["polling_interval"] = 0.1
    return options


def _connect(
    app: Celery, *, write: bool, patience: float, heartbeat: int | None, options: dict[str, object]
) -> Connection:
    make = app.connection_for_write if write else app.connection_for_read
    connection = make(
        connect_timeout=patience, transport_options={"max_retries": 0, **options}, heartbeat=heartbeat
    )
    hosts = len(connection.alt or [""])
    connection.ensure_connection(
        max_retries=hosts - 1, interval_start=0, interval_step=0, reraise_as_library_errors=False
    )
    return connection


def _bound_waiting(connection: Connection, seconds: float) -> None:
    """Let no read of an AMQP connection last longer than this (Redis was told when connecting)."""
    sock = getattr(connection.connection, "sock", None)
    if sock is not None:
        sock.settimeout(seconds)


def _close(connection: Connection) -> None:
    """Close politely; a broker that goes away at this moment changes nothing about what was learnt."""
    try:
        connection.close()
    except _TROUBLES:
        _drop(connection)


def _drop(connection: Connection | None) -> None:
    """Close without a word to the other side, which may not be listening any more."""
    if connection is None:
        return
    cut_waits(connection)
    connection.collect()


def _address(app: Celery) -> str:
    return str(app.connection_for_read().as_uri())
