"""A node whose link to the broker falls silent: no reset, no answer. What runs, runs on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from resource_nodes import Lab, Node, queues_of

# Sooner than by default, which is fit for a network: `insides/silence.py`, and Celery's heartbeat.
SOON = {
    "redis": {
        "broker_transport_options": {
            "visibility_timeout": 3600,
            "socket_timeout": 1,
            "health_check_interval": 1,
        }
    },
    "amqp": {"broker_heartbeat": 2, "broker_transport_options": {"read_timeout": 1}},
}


def _running(node: Node) -> set[str] | None:
    """The ids of what it says it runs; None while it does not answer."""
    told = node.try_ask("resources")
    return told and {each["id"] for each in told["ok"]["running"]}


@pytest.mark.parametrize("back", ["release", "renew"])
def test_what_ran_when_the_link_fell_silent_runs_on_and_is_acknowledged_when_it_is_back(
    lab: Lab, wait_until: Any, back: str
) -> None:
    relay = lab.relay()
    # Of a RabbitMQ that is waited for long enough, the same connection serves on.
    soon = SOON[lab.broker.partition(":")[0]] if back == "renew" or lab.broker.startswith("redis") else {}
    node = lab.node("n1", RESOURCE_APP_BROKER=relay.url, RESOURCE_APP_SETTINGS=json.dumps(soon)).wait_ready()
    node.join("one")
    (queue,) = queues_of("one")
    through = lab.send("one", "work", 600.0, ignore_result=True)
    ends = lab.send("one", "work", 2.0, ignore_result=True)
    wait_until(lambda: len(lab.runs()) == 2, what="both run")
    relay.hold()
    lab.wait_finished([ends])
    getattr(relay, back)()
    wait_until(lambda: _running(node) == {through.id}, what="it is back, and the long one runs on")
    # Earlier the Redis transport would lose it: a wait that the server does not know to be cut would pop it.
    lab.wait_finished([lab.send("one", "work", 0.0, ignore_result=True)])
    wait_until(lambda: lab.unacknowledged() == 1, what="it is settled what has ended")
    assert node.process.poll() is None
    lab.app.control.revoke(through.id, terminate=True)
    wait_until(lambda: lab.unacknowledged() == 0, what="nothing is left")
    assert lab.waiting(queue) == 0
    # RabbitMQ gives back what a connection had that is lost, and so it runs once more.
    is_again = back == "renew" and not lab.broker.startswith("redis")
    assert lab.finished()[ends.id] == (2 if is_again else 1)
