"""systemd is told when the control worker is ready and that its loop turns; without systemd nothing
happens.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from autoscaler_app.celery import app
from autoscaler_app.worker import steps
from autoscaler_app.worker.supervised import Supervised, seconds_between, tell

Patch = pytest.MonkeyPatch


class Timer:
    """Remembers what was to be called, and how often."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, Any, tuple[Any, ...]]] = []
        self.cancelled = 0

    def call_repeatedly(self, seconds: float, function: Any, args: tuple[Any, ...]) -> Timer:
        self.calls.append((seconds, function, args))
        return self

    def cancel(self) -> None:
        self.cancelled += 1


class Consumer:
    def __init__(self) -> None:
        self.timer = Timer()


@pytest.fixture
def supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        end.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield end


def test_it_says_ready_and_then_that_it_lives(supervisor: socket.socket, monkeypatch: Patch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "120000000")
    consumer = Consumer()
    step = Supervised(consumer)
    step.start(consumer)
    assert supervisor.recv(100) == b"READY=1"
    ((seconds, function, args),) = consumer.timer.calls
    assert seconds == 60
    function(*args)
    assert supervisor.recv(100) == b"WATCHDOG=1"
    step.stop(consumer)
    assert consumer.timer.cancelled == 1


def test_it_gives_no_sign_of_life_that_nobody_wants(supervisor: socket.socket, monkeypatch: Patch) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    consumer = Consumer()
    Supervised(consumer).start(consumer)
    assert consumer.timer.calls == []


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": "/nowhere/at/all"}])
def test_without_a_supervisor_nothing_happens(environment: dict[str, str]) -> None:
    assert tell("READY=1", environment) is False


@pytest.mark.parametrize("value", ["", "0", "soon"])
def test_what_is_no_time_is_none(value: str) -> None:
    assert seconds_between({"WATCHDOG_USEC": value}) is None


def test_the_control_worker_has_the_step() -> None:
    assert steps.Supervised in app.steps["consumer"]
