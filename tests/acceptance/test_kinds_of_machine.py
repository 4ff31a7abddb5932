"""Tasks that ask for a kind of machine get machines of that kind, and run on no other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from pytest_celery import CeleryTestSetup

from demo.site import ROOT, Site

WaitUntil = Callable[..., object]
WISHES = (
    {"node.vm_size": "Standard_D4s_v5"},
    {"node.vm_size": ["Standard_E*"], "node.spot": False},
    {"node.nodearray": "gpu"},
    {"not": {"node.spot": False}},
)
SEND = """
import json, sys
from worker_tasks.tasks import small
for wish in json.loads(sys.argv[1]):
    print(*[small.apply_async((0.5,), constraints={"ncpus": 1, **wish}).id for _ in range(4)])
"""


@pytest.mark.timeout(170)
@pytest.mark.parametrize("broker", ["", "amqp_url"], indirect=True, ids=["embedded", "rabbitmq"])
def test_each_task_runs_on_the_machine_that_it_asks_for(
    celery_setup: CeleryTestSetup, site: Site, wait_until: WaitUntil
) -> None:
    sent = subprocess.run(
        [sys.executable, "-c", SEND, json.dumps(WISHES)],
        cwd=ROOT,
        env={**os.environ, **site.env},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    ids = [line.split() for line in sent.stdout.splitlines()]
    site.start_beat()
    machines: dict[str, tuple[str, str]] = {}

    def all_ran() -> bool:
        for node in site.nodes():
            if node.get("Hostname"):
                machines[node["Hostname"]] = (node["MachineType"], node["Template"])
        return {id_ for group in ids for id_ in group} <= set(site.finished())

    wait_until(all_ran, seconds=100, every=0.2, what="every task has finished")
    ran_on = {run.id: machines[run.host] for run in site.runs()}
    d4, e4, gpu, spot = ({ran_on[id_] for id_ in group} for group in ids)
    assert {size for size, _ in d4} == {"Standard_D4s_v5"}
    assert e4 == {("Standard_E4s_v5", "worker")}
    assert {nodearray for _, nodearray in gpu} == {"gpu"}
    assert {nodearray for _, nodearray in spot} == {"worker-spot"}
    wait_until(lambda: not site.nodes(), seconds=60, what="the last node is gone")
