"""The blobs, made once; skipped where machines in a box cannot be made."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.contract.deploy import box

ROOT = Path(__file__).resolve().parents[3]
VERSION = 'import sys; print("%d.%d" % sys.version_info[:2])'


@pytest.fixture(scope="session")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the blobs that `make dist` makes."""
    if why_not := box.why_not():
        missing(why_not, "PATH, or run as root")
    copy = copy_of_repository(tmp_path_factory.mktemp("dist") / "copy")
    make_dist(copy)
    return copy / "deploy/cyclecloud/blobs"


def copy_of_repository(folder: Path) -> Path:
    """What the repository has. Built there, builds that run side by side do not meet."""
    ignore = shutil.ignore_patterns(".git", ".venv*", "*.tar.gz", "*.egg-info", ".*_cache", "__pycache__")
    return Path(shutil.copytree(ROOT, folder, ignore=ignore))


def make_dist(root: Path) -> None:
    """What `make dist` does in this copy of the repository, for the Python that a node would find here."""
    common = ROOT / "deploy/cyclecloud/specs/default/cluster-init/files/common.sh"
    ask = f". {common}; PATH=/usr/local/bin:/usr/bin:/bin $(find_python) -c '{VERSION}'"
    python = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
    command = [sys.executable, str(root / "deploy/cyclecloud/dist.py"), "--python", python]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
