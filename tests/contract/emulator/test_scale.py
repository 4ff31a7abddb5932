"""Thousands of simulated nodes live in one process."""

import httpx
import msgspec
import pytest
from celery import Celery

from cyclecloud_emulator import Emulator, load
from cyclecloud_emulator.settings import from_mapping

PATIENTLY = {"seconds": 180, "every": 0.5}
"""The emulator works in this process: whoever asks for all nodes fifty times a second takes its time away."""


@pytest.fixture(params=[1000, pytest.param(5000, marks=pytest.mark.by_hand)])
def count(request):
    """How many nodes: more than a thousand take minutes, and show nothing else."""
    return request.param


@pytest.fixture
def emulator(valkey_url, count):
    """A cloud without narrow limits whose nodes are simulated."""
    wide = {"max_count": count, "max_core_count": 10 * count}
    settings = msgspec.to_builtins(load())
    settings["clusters"]["celery"] |= wide
    settings["clusters"]["celery"]["nodearrays"]["worker"] |= wide
    settings["families"]["standardFSv2Family"] = settings["regional"] = {"cores": 10 * count}
    settings["nodes"] |= {
        "kind": "simulated",
        "boot_seconds": 0.5,
        "terminate_seconds": 0.1,
        "environment": {"CELERY_BROKER_URL": valkey_url},
    }
    with Emulator.start(from_mapping(settings), password="x") as emulator:
        yield emulator


@pytest.mark.timeout(400)
def test_thousands_of_nodes_are_created_heard_asked_and_ended(emulator, valkey_url, wait_until, count):

    app = Celery("control", broker=valkey_url, set_as_current=False)
    with httpx.Client(base_url=emulator.url, auth=emulator.auth, timeout=180) as http:
        body = {"sets": [{"nodearray": "worker", "count": count}]}
        assert http.post("/clusters/celery/nodes/create", json=body).json()["sets"] == [{"added": count}]
        wait_until(lambda: all(node.hostname for node in emulator.nodes()), **PATIENTLY)
        status = http.get("/clusters/celery/status?nodes=true").json()
        assert len(status["nodes"]) == count
        names = [f"celery@{node['Hostname']}" for node in status["nodes"]]
        assert len(set(names)) == count
        ends = [*names[:50], *names[-50:]]
        wait_until(lambda: len(app.control.ping(destination=ends, timeout=5)) == len(ends), **PATIENTLY)
        ids = [node["NodeId"] for node in status["nodes"]]
        assert len(http.post("/clusters/celery/nodes/terminate", json={"ids": ids}).json()["nodes"]) == count
        wait_until(lambda: emulator.nodes() == [], **PATIENTLY)
    assert emulator.ledger()["machines_running"] == 0
    app.close()
