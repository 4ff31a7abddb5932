"""Whose connection it is can be seen in the server's list."""

from __future__ import annotations

import subprocess

from celery import Celery

from celery_resources.node.named import name_connections


def test_on_rabbitmq_connections_bear_the_name_beside_what_the_app_has_set(amqp_url: str) -> None:
    with Celery(broker=amqp_url, set_as_current=False) as app:
        app.conf.broker_transport_options = {"client_properties": {"team": "blue"}, "confirm_publish": True}
        name_connections(app, "celery@n1")
        with app.connection_for_write() as connection:
            connection.connect()
            listed = subprocess.run(
                ["rabbitmqctl", "--quiet", "list_connections", "vhost", "client_properties"],
                check=True,
                capture_output=True,
                text=True,
                timeout=60,
            ).stdout
        (ours,) = (line for line in listed.splitlines() if line.startswith(amqp_url.rpartition("/")[2]))
        assert '{"connection_name","celery@n1"}' in ours
        assert '{"team","blue"}' in ours
        assert app.conf.broker_transport_options["confirm_publish"] is True


def test_on_redis_the_settings_are_left_alone() -> None:
    with Celery(broker="redis://127.0.0.1:1", set_as_current=False) as app:
        name_connections(app, "celery@n1")
        assert not app.conf.broker_transport_options
