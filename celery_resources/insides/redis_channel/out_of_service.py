"""A Redis that cannot be used for now is an error of the connection: the worker connects anew, and lives.

Two things are not, by themselves, and each ends a worker of Celery with all that it runs. To use a channel
whose connection was closed, which Celery 5.7 does itself while it closes one, is an AttributeError of kombu.
And a server that refuses everything, because it follows another one since a failover, is full, or is still
reading its files, answers with an error like that of a wrong command. (A result that is refused like that
would be dropped, and not stored again as it is when the connection is lost.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery.backends.redis import RedisBackend
from kombu.transport import redis as transport
from redis import Connection as Stock
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import ResponseError

REFUSALS = ("READONLY", "UNBLOCKED", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "MISCONF", "OOM", "NOREPLICAS")
"""With what a server begins that will not do this now and may do it later, whoever asks. redis-py cuts off
some of these words and keeps them as the class of the error."""
CLASSES = ("ReadOnlyError", "BusyLoadingError", "MasterDownError", "ClusterDownError", "OutOfMemoryError")


def survive_outages() -> None:
    """From now on, in this process, for every connection of kombu to a Redis, and of a result backend.

    Connections that tasks make for themselves are left alone. May be called twice.
    """
    if not hasattr(transport.Channel._connparams, "survives"):
        transport.Channel._connparams = _surviving(transport.Channel._connparams)
        RedisBackend._get_pool = _of_translating(RedisBackend._get_pool)


def _surviving(parameters: Callable[..., Any]) -> Callable[..., Any]:
    def _connparams(self: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(self.connection, "client", None) is None:
            raise ConnectionLost("the connection of this channel is closed")
        found = parameters(self, *args, **kwargs)
        found["connection_class"] = _translating(found["connection_class"])
        return found

    _connparams.survives = True  # type: ignore[attr-defined]
    return _connparams


def _of_translating(pool: Callable[..., Any]) -> Callable[..., Any]:
    def _get_pool(self: Any, **parameters: Any) -> Any:
        connection = _translating(parameters.get("connection_class", Stock))
        return pool(self, **{**parameters, "connection_class": connection})

    return _get_pool


def _translating(connection: Any) -> Any:
    class Connection(connection):
        def read_response(self, *args: Any, **kwargs: Any) -> Any:
            try:
                return super().read_response(*args, **kwargs)
            except ResponseError as error:
                if not is_out_of_service(error):
                    raise
                raise ConnectionLost(f"the server is out of service: {error}") from error

    return Connection


def is_out_of_service(error: Exception) -> bool:
    """Whether this refusal is of the server's state, and of nothing that was asked."""
    return type(error).__name__ in CLASSES or str(error).startswith(REFUSALS)
