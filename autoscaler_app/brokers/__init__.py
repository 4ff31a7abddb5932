"""Message brokers, and how much waits in them: one small protocol, one module per kind."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from autoscaler_app.brokers.errors import (
    BrokerError,
    BrokerRefused,
    BrokerUnreachable,
    BrokerUnsupported,
    CountUnknown,
)

if TYPE_CHECKING:
    from autoscaler_app.brokers.broker import SENT_AT, Broker, Consumers, Depth
    from autoscaler_app.brokers.opening import open_broker

__all__ = [
    "SENT_AT",
    "Broker",
    "BrokerError",
    "BrokerRefused",
    "BrokerUnreachable",
    "BrokerUnsupported",
    "Consumers",
    "CountUnknown",
    "Depth",
    "open_broker",
]

_WHERE = {
    "SENT_AT": "broker",
    "Broker": "broker",
    "Consumers": "broker",
    "Depth": "broker",
    "open_broker": "opening",
}


def __getattr__(name: str) -> Any:
    # Not earlier: who only wants to know an error when it comes needs no broker.
    if name in _WHERE:
        return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
