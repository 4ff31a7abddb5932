"""`make demo` cleans up, whenever it is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]

MOMENTS = {  # each begins with a file of the site
    "while the broker starts": "broker.log",
    "while the control worker starts": "control.log",
    "while tasks are sent": "add.log",
    "while tasks run": "runs.jsonl",
}


@pytest.fixture
def can_be_interrupted() -> Iterator[None]:
    """Who runs in the background of a script ignores SIGINT, and so would what it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("can_be_interrupted")
@pytest.mark.parametrize("moment", MOMENTS)
def test_ctrl_c_leaves_no_process_and_no_file(
    moment: str, tmp_path: Path, wait_until: Callable[..., object]
) -> None:
    demo = subprocess.Popen(
        [sys.executable, "-m", "demo"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path), "DEMO_OF_TEST": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    wait_until(lambda: list(tmp_path.glob(f"autoscaler-*/{MOMENTS[moment]}")), seconds=150, what=moment)
    os.killpg(demo.pid, signal.SIGINT)
    output, _ = demo.communicate(timeout=120)

    assert demo.returncode == 130, output.decode()
    assert processes_of(tmp_path) == []
    assert [path.name for path in tmp_path.iterdir()] == []


def processes_of(folder: Path) -> list[str]:
    """Command lines of live processes that were started with this folder in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("DEMO_OF_TEST") == str(folder):
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found
