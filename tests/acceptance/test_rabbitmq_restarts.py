"""A RabbitMQ that goes away under load and comes back with what it had on disk."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from kombu import Connection
from pytest_celery import CeleryTestSetup

from celery_resources import Requirement, queue_name
from demo.site import ROOT, Site, Wishes
from tests.acceptance.test_main_job import QUICK_TO_NOTICE
from tests.rabbitmq import RabbitMQ

Send = Callable[..., list[str]]
WaitUntil = Callable[..., object]
KINDS = ("work", "small", "wide", "roomy", "alone")


@pytest.fixture
def wishes(own_rabbitmq: RabbitMQ) -> Wishes:
    """The node's management plugin is asked as well, and workers have time to come back.

    Celery's pauses between two attempts to connect grow by two seconds each.
    """
    changed = {"rabbitmq_management_url": own_rabbitmq.management_url, "silent_timeout": 60.0}
    return replace(QUICK_TO_NOTICE, autoscaler={**QUICK_TO_NOTICE.autoscaler, **changed})


@pytest.mark.timeout(500)
@pytest.mark.parametrize("broker", ["own_amqp_url"], indirect=True)
@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_rabbitmq_that_is_restarted_under_load_loses_no_task_and_costs_no_busy_node(
    celery_setup: CeleryTestSetup,
    site: Site,
    send: Send,
    wait_until: WaitUntil,
    own_rabbitmq: RabbitMQ,
    end: str,
) -> None:
    """Some tasks run and some wait when it goes.

    A task whose acknowledgement did not arrive runs a second time, as everywhere where tasks are acknowledged
    late. None is left out, and none is cut off by the end of its node.
    """
    site.start_beat()
    ids = [*send(2, "wide", "15"), *(id_ for kind in KINDS for id_ in send(2, kind, "3"))]
    wait_until(lambda: len(site.runs()) >= 3, seconds=90, what="some tasks run")
    assert len(site.finished()) < len(ids), "work is left for later"
    getattr(own_rabbitmq, end)()
    control = site.processes["control"]
    wait_until(lambda: "listener lost the broker" in control.log(), seconds=30)
    own_rabbitmq.start_again()

    wait_until(lambda: set(ids) <= set(site.finished()), seconds=150, what="every task has finished")
    wait_until(lambda: not site.nodes(), seconds=150, what="the last node is gone")
    runs = site.runs()
    assert all(run.end is not None for run in runs), "no node was deleted under a task"
    assert set(Counter(run.id for run in runs).values()) <= {1, 2}
    reports = site.reports()
    blind = [made for made in reports if made.saw is None]
    assert {action.kind for made in blind for action in made.actions} <= {"settle"}, (
        "seen nothing, done nothing"
    )
    deleted = [entry for made in reports if made.plan for entry in made.plan.delete]
    assert {entry.reason.value for entry in deleted} <= {"idle", "surplus", "silent"}
    # Whoever shut down just then could not say so, and is as empty as the others.
    told = {action.target for made in reports for action in made.actions if action.kind == "shut-down"}
    assert {entry.node for entry in deleted if entry.reason.value == "silent"} <= told
    assert site.left_behind() == []
    seen = [made.saw for made in reports if made.saw]
    # The server's statistics are a second old: they agree while the long tasks run.
    busy = [saw for saw in seen if any(queue.running for queue in saw.queues)]
    assert 0 in {saw.unaccounted for saw in busy}, "what the server has handed out is with the workers"
    wait_until(lambda: site.reports(1)[0].saw.unaccounted == 0, what="nothing is handed out any more")


SEND_AND_KILL = """
import os, signal, sys
from worker_tasks.cli import main
main(["add", "--count", "5", "--kind", "wide"], standalone_mode=False)
os.killpg(int(sys.argv[1]), signal.SIGKILL)
"""


@pytest.mark.timeout(300)  # the node may have to be started first
def test_what_add_has_told_as_sent_outlives_a_kill_at_that_moment(
    own_rabbitmq: RabbitMQ, own_amqp_url: str, tmp_path: Path
) -> None:
    env = {**os.environ, "CELERY_BROKER_URL": own_amqp_url, "WORKER_TASKS_SENT": str(tmp_path / "sent.jsonl")}
    script = [sys.executable, "-c", SEND_AND_KILL, str(own_rabbitmq.group)]
    said = subprocess.run(script, env=env, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60)
    assert len(said.stdout.splitlines()) == 5
    own_rabbitmq.kill()
    own_rabbitmq.start_again()
    with Connection(own_amqp_url) as connection:
        there = connection.channel().queue_declare(queue_name(Requirement({"ncpus": 4})), passive=True)
    assert there.message_count == 5
