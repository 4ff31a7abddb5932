"""The command `record` beside real workers: what it hears becomes a trace."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autoscaler_app.listening.recording.trace import Tasks, load
from tests.labs import Lab

SECONDS = 0.4


@pytest.mark.parametrize("events", ["with task events", "without"])
def test_a_live_cluster_becomes_a_trace(
    lab: Lab, tmp_path: Path, wait_until: Callable[..., Any], events: str
) -> None:
    lab.app.conf.task_send_sent_event = events == "with task events"
    told = json.dumps({"worker_send_task_events": events == "with task events"})
    lab.node("n1", RESOURCE_APP_SETTINGS=told).wait_ready().join("one", "two")
    file = tmp_path / "trace.jsonl"
    (tmp_path / "autoscale.json").write_text(
        json.dumps({"url": "http://127.0.0.1:1", "username": "u", "cluster_name": "c"})
    )
    command = [sys.executable, "-m", "celery", "-A", "autoscaler_app", "autoscaler", "record", str(file)]
    recorder = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "CELERY_BROKER_URL": lab.broker},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:

        def is_heard() -> bool:
            """It says nothing when it begins to hear: tasks are sent until one is written."""
            lab.wait_finished([lab.send("one", "work", SECONDS)])
            return bool(_tasks(file))

        wait_until(is_heard, seconds=60, what="the recorder hears")
        before = sum(each.count for each in _tasks(file))
        lab.wait_finished([lab.send("two", "work", SECONDS) for _ in range(4)])
        wait_until(lambda: sum(each.count for each in _tasks(file)) >= before + 4, what="all is written")
        recorder.send_signal(signal.SIGTERM)
        output, _ = recorder.communicate(timeout=30)
    finally:
        recorder.kill()
        recorder.wait()
    assert recorder.returncode == 0, output
    trace = load(file)
    assert f"{trace.count} tasks of 2 queues" in output
    [queue] = [name for name, kind in trace.kinds.items() if kind.constraints["ncpus"] == 2]
    assert trace.kinds[queue].constraints == {"ncpus": 2, "memgb": 4}
    mine = [each for each in trace.tasks if each.queue == queue]
    assert sum(each.count for each in mine) == 4
    assert all(SECONDS <= (each.run or 0.0) < 30 for each in mine)
    if events == "with task events":
        # Of four tasks of two cores two have to wait, on a machine of four, until the first two have ended.
        assert len(mine) == 4
        assert sum((each.waited or 0.0) > SECONDS / 2 for each in mine) == 2
    assert oct(file.stat().st_mode & 0o777) == "0o600"


def _tasks(file: Path) -> list[Tasks]:
    if not file.exists() or not file.read_bytes():
        return []
    return list(load(file).tasks)
