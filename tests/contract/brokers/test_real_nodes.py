"""Real worker processes on real brokers, seen by the listener, asked, and given up for dead."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from autoscaler_app.brokers import open_broker
from autoscaler_app.listening.activity import Activity, HostView
from autoscaler_app.listening.ask import ask
from autoscaler_app.listening.listener import Listener
from celery_resources import with_resources

WaitUntil = Callable[..., Any]

TASKS = '''
import os, threading
from celery import Celery
from celery_resources import with_resources

app = with_resources(Celery("nodes", broker=os.environ["BROKER"], set_as_current=False))
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    worker_send_task_events=os.environ["EVENTS"] == "on",
    resource_control_queue=None,
)

@app.task(name="nodes.until", constraints={"ncpus": 1})
def until(path):
    """Runs until a file exists."""
    while not os.path.exists(path):
        threading.Event().wait(0.02)
'''

QUEUE = "res:ncpus=1"


class Site:
    """Nodes on one broker, and the control side's ear."""

    def __init__(self, url: str, folder: Path, wait_until: WaitUntil) -> None:
        self.url, self.folder, self.wait_until = url, folder, wait_until
        self.app = with_resources(Celery("site", broker=url, set_as_current=False))
        self.app.conf.update(task_send_sent_event=True, resource_control_queue=None)
        self.activity = Activity()
        self.listener = Listener(self.app, self.activity)
        self.processes: list[subprocess.Popen[bytes]] = []
        (folder / "nodes.py").write_text(TASKS)

    def listen(self) -> None:
        self.listener.start()
        self.wait_until(lambda: self.listener.connected_since)

    def node(self, name: str, *, events: str = "on") -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "celery", "-A", "nodes", "worker", "-n", f"celery@{name}"]
        command += ["--resources", "ncpus=2", "-c", "2", "-Q", QUEUE, "--without-gossip", "--without-mingle"]
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**os.environ, "BROKER": self.url, "EVENTS": events, "PYTHONPATH": str(self.folder)},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def send(self, path: Path, **options: Any) -> str:
        return str(self.app.send_task("nodes.until", (str(path),), constraints={"ncpus": 1}, **options).id)

    def host(self, name: str, what: Callable[[HostView], object]) -> HostView:
        """The host, as soon as this is true of it."""

        def found() -> HostView | None:
            host = self.activity.host(name)
            return host if host is not None and what(host) else None

        try:
            host: HostView = self.wait_until(found, seconds=60)
        except AssertionError as error:
            log = (self.folder / f"{name}.log").read_text(errors="replace")
            error.add_note(f"{self.activity.host(name)}\n{self.activity.counters()}\n{log}")
            raise
        return host

    def close(self) -> None:
        self.listener.stop()
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)
        self.app.close()


@pytest.fixture
def site(broker_url: str, tmp_path: Path, wait_until: WaitUntil) -> Iterator[Site]:
    """A site on Redis, and one on RabbitMQ."""
    site = Site(broker_url, tmp_path, wait_until)
    yield site
    site.close()


@pytest.mark.parametrize("events", ["on", "off"])
def test_a_task_is_seen_where_it_runs_and_its_run_time_is_learnt(site: Site, events: str) -> None:
    """Also where the app's task events are switched off: the reports of the nodes always flow."""
    site.listen()
    site.node("n1", events=events)
    idle = site.host("n1", lambda host: host.told)
    assert (idle.total["ncpus"], idle.running, idle.queues) == (2, (), (QUEUE,))

    done = site.folder / "done"
    ids = {site.send(done) for _ in range(3)}
    busy = site.host("n1", lambda host: len(host.running) == 2 and all(task.queue for task in host.running))
    assert {task.queue for task in busy.running} == {QUEUE}
    assert {task.id for task in busy.running} < ids
    assert site.wait_until(lambda: _waiting(site) + len(site.activity.host("n1").held) == 1)

    done.touch()
    site.host("n1", lambda host: not host.running and not host.held and host.free["ncpus"] == 2)
    site.wait_until(lambda: _waiting(site) == 0)
    runs = site.activity.take_runs()
    assert {run.queue for run in runs} == {QUEUE}
    assert all(0 <= run.seconds < 60 for run in runs)
    counters = site.activity.counters()
    assert (counters.rejected, counters.dropped) == (0, 0)


def test_what_runs_is_unknown_after_a_restart_until_the_node_is_asked(site: Site) -> None:
    site.node("n1")
    task_id = site.send(site.folder / "never")
    site.wait_until(
        lambda: (
            (answer := ask(site.app, "resources", ["celery@n1"], timeout=2).get("celery@n1"))
            and answer["running"]
        ),
        seconds=60,
    )

    site.listen()  # the control worker starts only now: it missed everything
    heard = site.host("n1", lambda host: True)
    assert heard.told is None or {task.id for task in heard.running} == {task_id}, "unknown, or right"

    for payload in ask(site.app, "resources", [worker.nodename for worker in heard.workers]).values():
        site.activity.merge(payload, heard.workers[0].heard + timedelta(seconds=1))

    known = site.activity.host("n1")
    assert known.told is not None
    assert {task.id for task in known.running} == {task_id}


def test_a_fenced_node_says_so_and_takes_nothing_more(site: Site) -> None:
    site.listen()
    site.node("n1")
    site.host("n1", lambda host: host.told)

    answer = ask(site.app, "fence", ["celery@n1"], {"reason": "test"}, timeout=20)

    assert answer["celery@n1"]["fenced"] is True
    host = site.host("n1", lambda host: host.fenced)
    assert host.workers[0].fence_reason == "test"
    site.send(site.folder / "never")
    site.wait_until(lambda: _waiting(site) == 1)


def test_the_work_of_a_node_that_died_waits_again(site: Site) -> None:
    site.listen()
    process = site.node("n1")
    site.host("n1", lambda host: host.told)
    task_id = site.send(site.folder / "never")
    running = site.host("n1", lambda host: host.running)
    assert _waiting(site) == 0

    os.killpg(process.pid, signal.SIGKILL)
    process.wait(20)
    given_back = open_broker(site.app).give_back_tasks([task.id for task in running.running])

    assert given_back == (0 if site.url.startswith("amqp") else 1)
    site.wait_until(lambda: _waiting(site) == 1)
    assert [task.id for task in site.activity.host("n1").running] == [task_id], "silence is not idleness"


def test_a_task_for_later_is_coming_and_who_holds_it_is_known(site: Site) -> None:
    site.listen()
    task_id = site.send(site.folder / "never", countdown=3600)
    site.wait_until(lambda: [task.id for task in site.activity.coming()] == [task_id])
    (coming,) = site.activity.coming()
    assert (coming.queue, coming.held_by) == (QUEUE, "")

    site.node("n1")
    site.wait_until(
        lambda: (
            [task.held_by for task in site.activity.coming()] == ["celery@n1"]
            or (site.activity.host("n1") is not None and site.activity.host("n1").scheduled == 1)
        ),
        seconds=60,
    )
    assert site.activity.host("n1").held == (), "it keeps no node busy"

    ask(site.app, "fence", ["celery@n1"], timeout=20)
    site.wait_until(lambda: [task.held_by for task in site.activity.coming()] == [""], seconds=60)
    site.wait_until(lambda: _waiting(site) == 1)


def _waiting(site: Site) -> int:
    return open_broker(site.app).depths([QUEUE])[QUEUE].waiting
