"""Which processes of this machine are there no more."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from celery_resources.room.machine import gone


def test_one_that_runs_is_there_and_one_that_nobody_ever_was_is_not() -> None:
    assert gone([os.getpid(), 2**22 + 1, -1, 2**70, "7", None]) == [-1, 2**22 + 1, 2**70]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_one_that_has_ended_is_gone_though_its_parent_never_asks(wait_until: Callable[..., object]) -> None:
    """As in a container whose first process does not."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    try:
        stat = Path(f"/proc/{child.pid}/stat")
        wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "Z", what="it has ended")
        assert gone([child.pid]) == [child.pid]
    finally:
        child.wait()
