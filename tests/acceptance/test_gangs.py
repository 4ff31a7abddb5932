"""Gangs, the whole way: nodes are launched, reserved together, run one task and are free again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest
from pytest_celery import CeleryTestSetup

from celery_resources.gangs.releasing import GangMemberLost
from demo.site import ROOT, Site
from tests.acceptance.test_main_job import QUICK_TO_NOTICE, node_processes, seen_at_work

WaitUntil = Callable[..., object]
TEAM = {"app": "tests.acceptance.team_app"}
GOING_ON = {"app": "tests.acceptance.team_app_going_on"}
ENOUGH = "enough"
"""A file beside the ledger, at which `team_work` comes to its end."""
SEND = """
import sys
from tests.acceptance.team_app import team_work
print(*[team_work.delay(float(sys.argv[2])).id for _ in range(int(sys.argv[1]))])
"""


def send_gangs(site: Site, count: int, seconds: float) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", SEND, str(count), str(seconds)],
        cwd=ROOT,
        env={**os.environ, **site.env},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.split()


def hosts_of_runs(site: Site) -> list[tuple[float, float, tuple[str, ...]]]:
    """(start, end, hosts) of every run that came to its end."""
    starts, runs = {}, []
    for line in site.ledger_file.read_text().splitlines():
        entry = json.loads(line)
        if entry["what"] == "start":
            starts[entry["id"], entry["pid"]] = entry["at"]
        else:
            runs.append((starts[entry["id"], entry["pid"]], entry["at"], tuple(entry["hosts"])))
    return runs


@pytest.mark.timeout(170)
@pytest.mark.parametrize("wishes", [replace(QUICK_TO_NOTICE, nodes=TEAM, most_nodes=4)])
@pytest.mark.parametrize("broker", ["", "amqp_url"], indirect=True, ids=["embedded", "rabbitmq"])
def test_gangs_share_no_node_and_all_run(
    celery_setup: CeleryTestSetup, site: Site, wait_until: WaitUntil
) -> None:
    site.start_beat()
    ids = send_gangs(site, 4, 2.0)
    wait_until(lambda: set(ids) <= set(site.finished()), seconds=100, what="every gang has run")
    runs = hosts_of_runs(site)
    assert len(runs) == 4
    for start, end, hosts in runs:
        assert len(set(hosts)) == 2
        for other_start, other_end, other_hosts in runs:
            if (start, end) != (other_start, other_end) and set(hosts) & set(other_hosts):
                assert end <= other_start or other_end <= start, "two gangs had a node at the same time"
    wait_until(lambda: not site.nodes(), seconds=60, what="the last node is gone")


@pytest.mark.timeout(170)
@pytest.mark.parametrize("wishes", [replace(QUICK_TO_NOTICE, nodes=TEAM, most_nodes=4)])
def test_a_gang_whose_head_died_runs_again_on_another_reservation(
    celery_setup: CeleryTestSetup, site: Site, wait_until: WaitUntil
) -> None:
    site.start_beat()
    (task,) = send_gangs(site, 1, 600.0)
    wait_until(lambda: site.runs(), seconds=60, what="the gang has started")
    head = site.runs()[0].host
    wait_until(lambda: seen_at_work(site, head), seconds=30, what="a pass has seen it at work")
    for process in node_processes(site, head):
        process.send_signal(signal.SIGKILL)
    (site.folder / ENOUGH).touch()
    wait_until(lambda: site.finished()[task], seconds=90, what="the task was run again, to its end")
    ((_, _, hosts),) = hosts_of_runs(site)
    assert hosts[0] != head
    wait_until(lambda: not site.nodes(), seconds=60, what="the last node is gone")


def end_member(site: Site, how: str) -> str:
    """End the node of the running gang that is not its head; its host name."""
    started = json.loads(site.ledger_file.read_text().splitlines()[0])
    head, member = started["hosts"]
    assert started["host"] == f"celery@{head}"
    if how == "vanished":
        (node,) = [node for node in site.nodes() if node["Hostname"] == member]
        site.tell_cloud("/emulator/nodes", {"node": node["Name"], "action": "vanish"})
    else:
        for process in node_processes(site, member):
            process.send_signal(signal.SIGKILL)
    return str(member)


EITHER_END = pytest.mark.parametrize(
    ("broker", "how"),
    [("", "killed"), ("amqp_url", "vanished")],
    indirect=["broker"],
    ids=["embedded-killed", "rabbitmq-vanished"],
)


@pytest.mark.timeout(170)
@pytest.mark.parametrize("wishes", [replace(QUICK_TO_NOTICE, nodes=TEAM, most_nodes=4)])
@EITHER_END
def test_a_gang_that_loses_a_member_fails_by_its_name_and_leaves_nothing(
    celery_setup: CeleryTestSetup, site: Site, how: str, wait_until: WaitUntil
) -> None:
    site.start_beat()
    (task,) = send_gangs(site, 1, 600.0)
    wait_until(lambda: site.runs(), seconds=60, what="the gang has started")
    member = end_member(site, how)
    with pytest.raises(GangMemberLost, match=f"the gang lost its node {member}"):
        celery_setup.app.AsyncResult(task).get(timeout=60)
    wait_until(lambda: not site.nodes(), seconds=60, what="the last node is gone")
    assert len(site.runs()) == 1, "it did not run again"
    assert not site.finished()
    assert site.left_behind() == []


@pytest.mark.timeout(170)
@pytest.mark.parametrize("wishes", [replace(QUICK_TO_NOTICE, nodes=GOING_ON, most_nodes=4)])
@EITHER_END
def test_a_gang_that_is_to_go_on_without_a_member_runs_to_its_end(
    celery_setup: CeleryTestSetup, site: Site, how: str, wait_until: WaitUntil
) -> None:
    site.start_beat()
    (task,) = send_gangs(site, 1, 600.0)
    wait_until(lambda: site.runs(), seconds=60, what="the gang has started")
    member = end_member(site, how)

    def head_was_told() -> bool:
        return any(
            action.kind == "gang" and action.target.startswith("member-lost") and action.ok
            for made in site.reports()
            for action in made.actions
        )

    wait_until(head_was_told, seconds=30, what="the head is told that the member is gone")
    assert not site.finished(), "the task runs on"
    (site.folder / ENOUGH).touch()
    assert member in celery_setup.app.AsyncResult(task).get(timeout=60)
    wait_until(lambda: not site.nodes(), seconds=60, what="the last node is gone")
    assert site.finished() == {task: 1}
    assert site.left_behind() == []
