"""A pass tells nodes how often to speak, by how many they are. Simulated nodes, on a real broker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from celery import Celery

from autoscaler_app.listening.ask import ask
from autoscaler_app.passes.control import Control
from autoscaler_app.passes.one_pass import make_pass
from autoscaler_app.settings import Autoscaler, Settings
from cyclecloud_emulator import settings
from cyclecloud_emulator.emulator import Emulator
from tests.contract.passes.test_strangers import listens

NODES = 120


@pytest.fixture
def emulator(broker_url: str) -> Iterator[Emulator]:
    wide = msgspec.to_builtins(settings.load())
    cluster = wide["clusters"]["celery"]
    for ceiling in (cluster, cluster["nodearrays"]["worker"]):
        ceiling |= {"max_count": NODES, "max_core_count": 10 * NODES}
    wide["families"]["standardFSv2Family"] = wide["regional"] = {"cores": 10 * NODES}
    wide["nodes"] |= {
        "kind": "simulated",
        "boot_seconds": 0.1,
        "terminate_seconds": 0.1,
        "environment": {"CELERY_BROKER_URL": broker_url},
    }
    with Emulator.start(settings.from_mapping(wide)) as running:
        yield running


@pytest.fixture
def control(emulator: Emulator, broker_url: str, tmp_path: Path) -> Iterator[Control]:
    config = {
        "url": emulator.url,
        "username": emulator.user,
        "password": emulator.password,
        "cluster_name": emulator.cluster,
    }
    made = Settings(config=config, autoscaler=Autoscaler(ask_timeout=30.0), folder=tmp_path)
    with Celery(broker=broker_url) as app:
        control = Control.open(app, made)
        listens(control, control.now())
        yield control
        control.close()


def test_many_nodes_speak_in_turn_and_when_they_are_few_again_as_they_like(
    emulator: Emulator, control: Control, wait_until: Callable[..., Any]
) -> None:
    with httpx.Client(base_url=emulator.url, auth=emulator.auth, timeout=30) as http:
        body = {"sets": [{"nodearray": "worker", "count": NODES}]}
        http.post("/clusters/celery/nodes/create", json=body).raise_for_status()
        wait_until(lambda: sum(bool(node.hostname) for node in emulator.nodes()) == NODES)
        names = sorted(f"celery@{node.hostname}" for node in emulator.nodes())
        wait_until(lambda: len(ask(control.app, "ping", names, timeout=5)) == NODES)

        def accounts(nodenames: list[str]) -> dict[str, Any]:
            return ask(control.app, "resources", nodenames, timeout=60)

        def paces(nodenames: list[str]) -> Counter[float]:
            return Counter(answer["pace"] for answer in accounts(nodenames).values())

        assert paces(names) == {0: NODES}
        # As if all had been heard just now: a pass that has to ask goes on with those that answer in time.
        for account in accounts(names).values():
            control.activity.merge(account, control.now())
        assert make_pass(control).error == ""
        assert paces(names) == {4: NODES}, "of 120, each once in four seconds: 30 a second"

        # Five nodes are left. The commands ask nobody who has gone.
        few = names[:5]
        gone = [node.id for node in emulator.nodes() if f"celery@{node.hostname}" not in few]
        http.post("/clusters/celery/nodes/terminate", json={"ids": gone}).raise_for_status()
        wait_until(lambda: len(emulator.nodes()) == len(few))
    for name in names[5:]:
        control.activity.forget_worker(name)
    assert make_pass(control).error == ""
    assert paces(few) == {0: 5}
