"""A transport of kombu for Redis and Valkey that loses no message when a worker is killed.

kombu's own pops a message and writes down who has it in two steps; what dies between them takes the message
along. This one does both in one step on the server, and gives back at once what a dead consumer had. The
layout in Redis stays kombu's, so workers of either kind serve the same queues. docs/redis_keeper.md.

For one app, by its settings:

    app.conf.broker_transport = "redis_keeper:Transport"      # or :SentinelTransport

For every `redis://`, `rediss://` and `sentinel://` URL of this process, failover lists included:

    import redis_keeper
    redis_keeper.install()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kombu import transport as transports

if TYPE_CHECKING:
    from redis_keeper.transport import SentinelTransport, Transport

__all__ = ["SentinelTransport", "Transport", "install", "uninstall"]

_OURS = {
    "redis": "redis_keeper.transport:Transport",
    "rediss": "redis_keeper.transport:Transport",
    "sentinel": "redis_keeper.transport:SentinelTransport",
}
_STOCK: dict[str, Any] = {}


def install() -> None:
    """From now on, in this process, every URL of Redis means this transport. May be called twice. Connections
    that were made before stay what they are.
    """
    for scheme, ours in _OURS.items():
        if transports.TRANSPORT_ALIASES.get(scheme) != ours:
            _STOCK[scheme] = transports.TRANSPORT_ALIASES.get(scheme)
            _mean(scheme, ours)


def uninstall() -> None:
    """Back to what these URLs meant before."""
    for scheme, stock in _STOCK.items():
        _mean(scheme, stock)
    _STOCK.clear()


def _mean(scheme: str, transport: Any) -> None:
    transports.TRANSPORT_ALIASES[scheme] = transport
    # kombu keeps what it has looked up once.
    transports._transport_cache.pop(scheme, None)


def __getattr__(name: str) -> Any:
    # Not earlier: to choose it must not cost an app that has another broker the import of redis.
    if name in ("SentinelTransport", "Transport"):
        from redis_keeper import transport

        return getattr(transport, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
