"""Nobody but its operator stops the control worker, and of two control sides one acts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from celery import Celery

from demo.process import Process
from demo.site import ROOT, Site, Wishes

WaitUntil = Callable[..., object]
pytestmark = pytest.mark.parametrize("broker", ["", "amqp_url"], indirect=True, ids=["embedded", "rabbitmq"])
QUICK = Wishes(interval=1.0, boot_seconds=0.5)
BARE = replace(QUICK, nodes={"kind": "none"})


def passes(site: Site, database: str = "autoscaler.db") -> int:
    return len(site.reports(database=database))


def autoscaler(site: Site, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "celery", "-A", "autoscaler_app", "autoscaler", *words]
    environ = {**site.env, **env}
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60)


@pytest.mark.timeout(280)
@pytest.mark.parametrize("wishes", [BARE])
def test_remote_control_does_nothing_to_the_control_worker(site: Site, wait_until: WaitUntil) -> None:
    command = [str(Path(sys.executable).parent / "celery"), "-A", "autoscaler_app", "worker", "-l", "INFO"]
    control = Process("control", command, folder=site.folder, cwd=ROOT, env=site.env)
    site.processes["control"] = control
    control.wait_for_line("ready.")
    with Celery("attacker", broker=site.broker_url, set_as_current=False) as app:
        task = "autoscaler_app.autoscale"
        for said in (
            app.control.ping(timeout=1),
            app.control.cancel_consumer("autoscale", reply=True, timeout=1),
            app.control.add_consumer("celery", reply=True, timeout=1),
            app.control.rate_limit(task, "1/h", reply=True, timeout=1),
            app.control.time_limit(task, soft=None, hard=0.001, reply=True, timeout=1),
            app.control.shutdown(reply=True, timeout=1),
        ):
            assert not said, "nobody is there to answer"
        app.send_task("a.users.task", queue="celery")
        before = passes(site)
        site.start_beat()
        wait_until(lambda: passes(site) >= before + 3, what="passes go on, one a second")
    assert control.exit_code is None
    newest = site.reports(1)[0].saw
    assert newest is not None
    assert {queue.queue: queue.waiting for queue in newest.queues}["celery"] == 1

    assert autoscaler(site, "ping").returncode == 0
    assert json.loads(autoscaler(site, "ping", "--json").stdout)["pid"] == control.pid
    done = autoscaler(site, "reload")
    assert done.returncode == 0, done.stderr
    assert autoscaler(site, "stop").returncode == 0
    wait_until(lambda: control.exit_code == 0, what="it has ended in order")
    assert autoscaler(site, "ping").returncode == 1
    assert autoscaler(site, "stop").returncode == 2


@pytest.mark.timeout(280)
@pytest.mark.parametrize("wishes", [BARE])
def test_the_second_control_side_waits_says_so_and_takes_over(site: Site, wait_until: WaitUntil) -> None:
    first = site.start_control()
    settings = json.loads((site.folder / "autoscale.json").read_text())
    settings["autoscaler"]["state_file"] = "second.db"
    (site.folder / "second.json").write_text(json.dumps(settings))
    env = {"AUTOSCALER_CONFIG": str(site.folder / "second.json")}
    command = [sys.executable, "-m", "celery", "-A", "autoscaler_app", "worker", "-n", "second@%h"]
    second = Process("second", command, folder=site.folder, cwd=ROOT, env={**site.env, **env})
    site.processes["second"] = second
    second.wait_for_line("another control side holds the lease of this broker")
    site.start_beat()
    wait_until(lambda: passes(site) >= 3)
    assert passes(site, "second.db") == 0

    run = autoscaler(site, "run", **env)
    assert run.returncode == 1
    assert "does not hold the lease: another control side" in run.stdout
    assert "NOT IN CHARGE: another control side" in autoscaler(site, "status", **env).stdout
    assert "a pass here would do nothing" in autoscaler(site, "plan", **env).stderr
    assert autoscaler(site, "run").returncode == 0, "beside the one that has it"
    before = passes(site, "second.db")

    first.kill()
    wait_until(lambda: passes(site, "second.db") > before, seconds=15, what="the second makes passes")
    assert autoscaler(site, "ping", **env).returncode == 0
