"""On RabbitMQ a node's connections bear its name in the server's lists. (On Redis: `insides/waiting.py`.)"""

from __future__ import annotations

from typing import Any

from celery import bootsteps

from celery_resources.room.node import is_node


class Named(bootsteps.Step):
    """Names the connections of a node before there is one. Leaves other workers and your names alone."""

    label = "Named"

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        if is_node(parent.options.get("resources")):
            name_connections(parent.app, parent.hostname)


def name_connections(app: Any, nodename: str) -> None:
    """Every connection that this app makes to a RabbitMQ from now on bears this name."""
    if app.connection_for_read().transport.driver_type != "amqp":
        return
    set_before = app.conf.broker_transport_options or {}
    properties = {"connection_name": nodename, **set_before.get("client_properties", {})}
    app.conf.broker_transport_options = {**set_before, "client_properties": properties}
