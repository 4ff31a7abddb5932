"""One pass at a time, also across processes and kills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from autoscaler_app.passes import lock

HOLD = """
import sys, time
from pathlib import Path
from autoscaler_app.passes import lock
with lock.held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with holder(path) as process:
        with pytest.raises(lock.PassIsRunning, match=str(process.pid)), lock.held(path):
            pass
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)
        with lock.held(path):
            assert path.read_text() == str(os.getpid())


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with holder(path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        with lock.held(path):
            assert path.read_text() == str(os.getpid())


def test_patience_waits_for_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with holder(path) as process:
        assert process.stdin is not None
        process.stdin.close()
        with lock.held(path, patience=10):
            assert path.read_text() == str(os.getpid())
