"""A node whose app has chosen pickle for everything speaks JSON with the control side."""

from __future__ import annotations

import json
from collections.abc import Callable

from resource_nodes import Lab

from autoscaler_app.listening.activity import Activity
from autoscaler_app.listening.ask import ask
from autoscaler_app.listening.listener import Listener

PICKLE = {
    "task_serializer": "pickle",
    "result_serializer": "pickle",
    "event_serializer": "pickle",
    "accept_content": ["pickle"],
}


def test_answers_and_events_of_a_pickle_app_are_json(make_lab: Callable[..., Lab], valkey_url: str) -> None:
    lab, activity = make_lab(valkey_url), Activity()
    listener = Listener(lab.app, activity)
    listener.start()
    try:
        lab.wait_until(lambda: listener.connected_since, what="it listens")
        node = lab.node("n1", RESOURCE_APP_SETTINGS=json.dumps(PICKLE), C_FORCE_ROOT="1").wait_ready()
        (said,) = ask(lab.app, "resources", [node.nodename], timeout=10).values()
        assert said["total"]["ncpus"] == 4
        lab.wait_until(lambda: (host := activity.host("n1")) and host.told, what="its events are read")
        assert (
            ask(lab.app, "join", [node.nodename], {"queues": {}}, timeout=10)[node.nodename]["queues"] == []
        )
    finally:
        listener.stop()
