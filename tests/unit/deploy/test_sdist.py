"""The source distribution is whole: it has what the repository has, and can be built and tested from."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
NOT_SOURCE = shutil.ignore_patterns(
    ".git", ".venv*", "__pycache__", "*.egg-info", ".*_cache", ".hypothesis", "*.tar.gz", "*.pid", "*.db*"
)
"""What .gitignore names, and git's own; at the top these, too:"""
NOT_AT_TOP = {"build", "dist", "run"}
MADE = {"PKG-INFO", "setup.cfg"}
"""What the build puts into it beside the sources."""


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def ours(**more: str) -> dict[str, str]:
    """The environment without what the tests that run now say about themselves."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")} | more


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository as a person who clones it has it."""
    folder = tmp_path_factory.mktemp("clone") / "clone"

    def ignored(place: str, names: list[str]) -> set[str]:
        return NOT_SOURCE(place, names) | (NOT_AT_TOP & set(names) if Path(place) == ROOT else set())

    shutil.copytree(ROOT, folder, ignore=ignored)
    return folder


@pytest.fixture(scope="module")
def unpacked(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, unpacked where nothing else is."""
    folder = tmp_path_factory.mktemp("sdist")
    told = subprocess.run(
        [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", folder / "out", sources],
        capture_output=True, text=True, check=False, env=ours(),
    )  # fmt: skip
    assert told.returncode == 0, told.stdout + told.stderr
    (archive,) = (folder / "out").iterdir()
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    (top,) = (each for each in folder.iterdir() if each.name != "out")
    return top


def test_it_has_every_file_of_the_repository_and_no_other(sources: Path, unpacked: Path) -> None:
    def own(folder: Path) -> set[str]:
        return {name for name in files(folder) if ".egg-info/" not in name} - MADE

    assert own(unpacked) == own(sources)


@pytest.mark.parametrize(
    "name", ["Makefile", "constraints.txt", ".ci/run", "docs/deploy.md", "tests/conftest.py"]
)
def test_what_it_once_lacked_is_there(unpacked: Path, name: str) -> None:
    assert (unpacked / name).is_file()


def test_what_is_run_can_be_run(unpacked: Path) -> None:
    scripts = [*unpacked.glob("deploy/cyclecloud/specs/*/cluster-init/scripts/*.sh"), unpacked / ".ci/run"]
    assert len(scripts) > 5
    assert not [path for path in scripts if not path.stat().st_mode & 0o111]


def test_it_can_be_tested_from(unpacked: Path) -> None:
    """Its own modules are tested, not those of the checkout that this environment has installed."""
    (unpacked / "tests/unit/test_whose.py").write_text(
        "import pathlib, scalelib\n\n"
        "def test_whose():\n"
        "    assert pathlib.Path(scalelib.__file__).is_relative_to(pathlib.Path(__file__).parents[2])\n"
    )
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
         "tests/unit/test_whose.py", "tests/unit/scalelib/test_amounts.py"],
        cwd=unpacked, capture_output=True, text=True, check=False, env=ours(PYTHONDONTWRITEBYTECODE="1"),
    )  # fmt: skip
    assert told.returncode == 0, told.stdout + told.stderr


@pytest.mark.by_hand
@pytest.mark.timeout(580)
def test_it_is_built_and_tested_from_an_empty_folder_by_its_own_commands(unpacked: Path) -> None:
    """Needs the package registry: `make test` makes an environment of its own; `make dist` all blobs."""
    for command in (["make", "test", "JOBS=1", "ARGS=tests/unit/scalelib -k amounts"], ["make", "dist"]):
        told = subprocess.run(command, cwd=unpacked, capture_output=True, text=True, check=False, env=ours())
        assert told.returncode == 0, told.stdout + told.stderr
    assert len(list((unpacked / "deploy/cyclecloud/blobs").glob("*.tar.gz"))) == 2
    assert len(list((unpacked / "dist").iterdir())) == 2
