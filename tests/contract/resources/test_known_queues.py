"""Celery's own commands know the queues that tasks get for what they need, and a command shows them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from resource_nodes import Lab

from celery_resources import with_resources
from celery_resources.sending.depth import messages_waiting

APP = """
from celery import Celery
from celery_resources import with_resources
app = with_resources(Celery("known"))
app.conf.update(broker_url={broker!r}, resource_queues={{"gpu": {{"ngpus": 1}}}}, resource_names=["lic"])
@app.task(constraints={{"ncpus": 2}})
def two(): ...
"""
QUEUES = {"celery", "gpu", "res:ncpus=2", "res:lic=1"}


@pytest.fixture
def folder(tmp_path: Path, broker_url: str) -> Path:
    (tmp_path / "known_app.py").write_text(APP.format(broker=broker_url))
    return tmp_path


def _sent(broker_url: str) -> Any:
    """An app that knows none of the definitions, and has sent a task to each queue."""
    app: Any = with_resources(Celery(f"known-{uuid.uuid4()}", broker=broker_url, set_as_current=False))
    app.conf.update(resource_names=["lic"])
    app.send_task("plain")
    app.send_task("known_app.gpu", queue="gpu")
    app.send_task("known_app.two", constraints={"ncpus": 2})
    app.send_task("known_app.lic", constraints={"lic": 1})
    return app


def _celery(folder: Path, *words: str) -> str:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), os.getcwd()])}
    done = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "known_app", *words],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_purge_empties_all_of_them_and_the_board_keeps_its_kinds(broker_url: str, folder: Path) -> None:
    with _sent(broker_url) as app:
        assert messages_waiting(app, QUEUES) == dict.fromkeys(QUEUES, 1)
        assert "Purged 4 messages" in _celery(folder, "purge", "-f")
        assert messages_waiting(app, QUEUES) == dict.fromkeys(QUEUES, 0)
        facts = json.loads(_celery(folder, "resource-queues", "--json"))
        assert "res:lic=1" in facts, "what the board knew is known still"


def test_purge_leaves_what_it_is_told_to_leave(broker_url: str, folder: Path) -> None:
    with _sent(broker_url) as app:
        _celery(folder, "purge", "-f", "-X", "res:lic=1")
        assert messages_waiting(app, QUEUES) == {**dict.fromkeys(QUEUES, 0), "res:lic=1": 1}


def test_control_purge_does_the_same(broker_url: str, folder: Path) -> None:
    with _sent(broker_url) as app:
        discarded, left = app.control.purge(), messages_waiting(app, QUEUES)
        # Of gpu it knows only before Celery 5.6, where an app that has sent to a queue counts it as its own.
        assert left == {**dict.fromkeys(QUEUES, 0), "gpu": left["gpu"]}
        assert discarded == 4 - left["gpu"]


def test_the_command_shows_each_with_what_it_needs_and_how_much_waits(broker_url: str, folder: Path) -> None:
    with _sent(broker_url):
        facts = json.loads(_celery(folder, "resource-queues", "--json"))
        assert facts["res:lic=1"]["requirement"] == {"constraints": {"lic": 1}}
        assert {name: facts[name]["waiting"] for name in QUEUES - {"celery"}} == dict.fromkeys(
            QUEUES - {"celery"}, 1
        )
        assert (facts["gpu"]["source"], facts["res:ncpus=2"]["source"]) == ("settings", "tasks")
        text = _celery(folder, "resource-queues")
        assert "res:lic=1" in text
        assert '{"constraints": {"ngpus": 1}}' in text
        assert "--json" in _celery(folder, "resource-queues", "--help")


def test_what_nodes_consume_is_seen_and_controlled_by_its_name(lab: Lab) -> None:
    node = lab.node("n1").wait_ready()
    queue = "res:memgb=1:ncpus=1"
    lab.app.control.add_consumer(queue, destination=[node.nodename], reply=True, timeout=10)

    def consumed() -> set[str]:
        answer = lab.app.control.inspect([node.nodename], timeout=2).active_queues() or {}
        return {each["name"] for each in answer.get(node.nodename, ())}

    lab.wait_until(lambda: queue in consumed(), what="active_queues names it")
    lab.wait_finished([lab.app.tasks["work"].apply_async((0.0,), constraints={"ncpus": 1, "memgb": 1})])
    lab.app.control.cancel_consumer(queue, destination=[node.nodename], reply=True, timeout=10)
    lab.wait_until(lambda: queue not in consumed(), what="and no longer")
