"""The cloud takes a spot machine back, and says so before: what runs ends, what waits goes elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from pytest_celery import CeleryTestSetup

from autoscaler_app.passes.plan import KeepReason
from demo.site import Site
from tests.acceptance.test_main_job import QUICK_TO_NOTICE, seen_at_work

Send = Callable[..., list[str]]
WaitUntil = Callable[..., object]


@pytest.mark.timeout(170)
@pytest.mark.parametrize("wishes", [replace(QUICK_TO_NOTICE, most_nodes=2)])
@pytest.mark.parametrize("broker", ["", "amqp_url"], indirect=True, ids=["embedded", "rabbitmq"])
def test_a_node_that_is_told_of_its_eviction_takes_nothing_more(
    celery_setup: CeleryTestSetup, site: Site, send: Send, wait_until: WaitUntil
) -> None:
    site.start_beat()
    long = send(1, "work", "12")
    wait_until(lambda: {run.id for run in site.runs()} == set(long), seconds=60, what="the long task runs")
    (evicted,) = (node for node in site.nodes() if node["Status"] == "Ready")
    assert evicted["Interruptible"], "the cheapest machine is a spot machine"
    host = evicted["Hostname"]
    site.tell_cloud("/emulator/nodes", {"node": evicted["Name"], "action": "evict", "notice": 30})

    def told() -> bool:
        """A pass counts the node as going."""
        return any(
            entry.node == evicted["Name"]
            and entry.reason is KeepReason.LEAVING
            and "taking the machine back" in entry.detail
            for made in site.reports()
            if made.plan is not None
            for entry in made.plan.keep
        )

    wait_until(told, seconds=30)
    short = send(4, "work", "0.2")
    wait_until(lambda: set(site.finished()) >= {*long, *short}, seconds=90, what="every task has finished")
    assert site.finished() == Counter([*long, *short]), "each once: the long one was not cut off"
    where = {run.id: run.host.rpartition("@")[2] for run in site.runs()}
    assert where[long[0]] == host
    assert host not in {where[id_] for id_ in short}, "though it had a processor free"
    wait_until(lambda: evicted["NodeId"] not in {node["NodeId"] for node in site.nodes()}, seconds=60)
    wait_until(lambda: not site.nodes(), seconds=60, what="the last node is gone")
    assert site.left_behind() == []


@pytest.mark.timeout(170)
@pytest.mark.parametrize("wishes", [replace(QUICK_TO_NOTICE, most_nodes=2)])
def test_a_task_whose_node_is_evicted_without_notice_runs_again_on_another(
    celery_setup: CeleryTestSetup, site: Site, send: Send, wait_until: WaitUntil
) -> None:
    site.start_beat()
    ids = send(1, "work", "12")
    wait_until(lambda: {run.id for run in site.runs()} == set(ids), seconds=60, what="the task runs")
    host = site.runs()[0].host
    wait_until(lambda: seen_at_work(site, host), seconds=30, what="a pass has seen it at work")
    (evicted,) = (node for node in site.nodes() if node["Status"] == "Ready")
    site.tell_cloud("/emulator/nodes", {"node": evicted["Name"], "action": "evict", "notice": 0})
    wait_until(lambda: set(site.finished()) == set(ids), seconds=90, what="it has run to its end")
    first, second = sorted(site.runs(), key=lambda run: run.start)
    assert (first.end, second.end is not None) == (None, True)
    assert first.host != second.host
    wait_until(lambda: not site.nodes(), seconds=60, what="the last node is gone")
    assert site.left_behind() == []
