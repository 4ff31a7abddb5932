"""The blobs, made once; skipped where machines in a box cannot be made."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.contract.deploy import box

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the blobs that `make dist` makes, for the Python that /usr/bin has."""
    if why_not := box.why_not():
        missing(why_not, "PATH, or run as root")
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    python = subprocess.run(
        ["/usr/bin/python3", "-c", ask], capture_output=True, text=True, check=True
    ).stdout.strip()
    folder = tmp_path_factory.mktemp("dist")
    made = subprocess.run(
        [sys.executable, ROOT / "deploy/cyclecloud/dist.py", "--python", python, "--out", folder / "out",
         "--blobs", folder / "blobs"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    return folder / "blobs"
