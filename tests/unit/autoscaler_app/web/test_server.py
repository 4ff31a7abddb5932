"""Serving: on this machine unless there is a password, and over a real state file."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from celery.schedules import crontab
from celery.schedules import schedule as every

from autoscaler_app import schedule
from autoscaler_app.memory.state import State
from autoscaler_app.passes import report as report_module
from autoscaler_app.schedule import interval_of
from autoscaler_app.web.server import PASSWORD_VARIABLE, listen, url_of
from scalelib.errors import InvalidConfig


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "broker.example", ""])
def test_another_host_than_this_one_is_refused_without_a_password(host: str) -> None:
    with pytest.raises(
        InvalidConfig, match=f"not served on {host!r} without a password.*{PASSWORD_VARIABLE}"
    ):
        listen(host, 0, "")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2"])
def test_this_machine_needs_no_password(host: str) -> None:
    with listen(host, 0, "") as listening:
        assert listening.getsockname()[0].startswith("127.")


def test_with_a_password_any_address_is_served() -> None:
    with listen("0.0.0.0", 0, "geheim") as listening:
        assert url_of(listening).startswith("http://0.0.0.0:")


@pytest.mark.parametrize("port", [-1, 70000])
def test_a_port_that_is_none_is_named(port: int) -> None:
    with pytest.raises(InvalidConfig, match=f"on port {port}: a port is from 0 to 65535"):
        listen("127.0.0.1", port, "")


def test_a_port_that_is_taken_is_named() -> None:
    with listen("127.0.0.1", 0, "") as first:
        port = first.getsockname()[1]
        with pytest.raises(InvalidConfig, match=f"port {port}: .*in use"):
            listen("127.0.0.1", port, "")


@pytest.mark.parametrize("host", ["192.0.2.1", "a..b"])
def test_an_address_that_is_not_of_this_machine_is_named(host: str) -> None:
    with pytest.raises(InvalidConfig, match=rf"{re.escape(repr(host))}, port 0: .*name an address of this"):
        listen(host, 0, "geheim")


@pytest.mark.parametrize(
    ("entries", "seconds"),
    [
        (schedule.every(seconds=3), 3),
        ({"a": {"task": schedule.AUTOSCALE, "schedule": timedelta(minutes=1)}}, 60),
        ({"a": {"task": schedule.AUTOSCALE, "schedule": every(timedelta(seconds=20))}}, 20),
        ({"a": {"task": "other", "schedule": 1}, **schedule.every(seconds=7)}, 7),
        ({"a": {"task": schedule.AUTOSCALE, "schedule": crontab()}}, schedule.INTERVAL),
        ({}, schedule.INTERVAL),
    ],
)
def test_the_interval_is_that_of_the_beat_schedule(entries: dict[str, Any], seconds: float) -> None:
    assert interval_of(entries) == timedelta(seconds=seconds)


# -- the whole of it, in a process of its own

PROGRAM = """
from autoscaler_app.celery import app
from autoscaler_app.passes.control import Control
from autoscaler_app.web import serve

control = Control.open(app)
try:
    serve(control, port=0, ready=lambda url: print(url, flush=True))
finally:
    control.close()
print("closed", flush=True)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    settings = tmp_path / "autoscale.json"
    settings.touch(mode=0o600)
    settings.write_text(
        '{"url": "http://127.0.0.1:9", "username": "u", "password": "cloud-secret", "cluster_name": "c"}'
    )
    return tmp_path


@pytest.fixture
def started(folder: Path) -> Iterator[Callable[..., tuple[subprocess.Popen[str], str]]]:
    """Starts `serve` with this environment; gives the process and the address."""
    processes = []

    def start(**variables: str) -> tuple[subprocess.Popen[str], str]:
        env = {**os.environ, "AUTOSCALER_CONFIG": str(folder / "autoscale.json"), **variables}
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", PROGRAM], env=env, stdout=subprocess.PIPE, text=True
        )
        processes.append(process)
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_serve_shows_the_journal_of_the_state_file_until_it_is_interrupted(
    started: Callable[..., Any], folder: Path, make: Any
) -> None:
    state = State(folder / "autoscaler.db")
    for number in (1, 2):
        made = make.report(number)
        state.journal.write(made.started, report_module.encode(made))
    process, url = started(AUTOSCALER_WEB_PASSWORD="geheim", AUTOSCALER_INTERVAL="30")
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as web:
        assert web.get("/healthz").status_code == 401
        web.auth = ("", "geheim")
        facts = web.get("/api/status").json()
        assert (facts["last_pass"]["number"], facts["interval_seconds"]) == (2, 30)
        assert web.get("/healthz").status_code == 503, "that pass is from another year"
        assert facts["paused"] is False
        state.set_fact("paused", True)
        assert web.get("/api/status").json()["paused"] is True
        assert "cloud-secret" not in web.get("/").text
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=20)[0] == "closed\n"
    state.close()
    assert process.returncode == 0


def test_serve_without_a_password_answers_to_this_machine_only(started: Callable[..., Any]) -> None:
    _, url = started(AUTOSCALER_WEB_PASSWORD="")
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as web:
        assert web.get("/api/status").json()["last_pass"] is None
        assert web.get("/api/status", headers={"host": "evil.example"}).status_code == 403
