"""The scripts of cluster-init and the units, as far as they can be judged without running them as root."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import missing

PROJECT = Path(__file__).resolve().parents[3] / "deploy" / "cyclecloud"
SPECS = PROJECT / "specs"
SCRIPTS = sorted(SPECS.glob("*/cluster-init/scripts/*.sh"))
SHELL = [
    *SCRIPTS,
    *sorted(SPECS.glob("*/cluster-init/files/*.sh")),
    SPECS / "default/cluster-init/files/activate",
]
UNITS = sorted(SPECS.glob("*/cluster-init/files/*.service"))

MOST_EXPOSED = {
    "celery-broker.service": 1.4,
    "celery-control.service": 1.6,
    "celery-beat.service": 1.6,
    "celery-page.service": 1.6,
    # Tasks are people's programs; they see the network, GPUs and homes.
    "celery-worker.service": 2.2,
}
"""What `systemd-analyze security` makes of each unit, from 0 (sealed) to 10 (open). It may not rise."""


def name(path: Path) -> str:
    return f"{path.relative_to(SPECS).parts[0]}/{path.name}"


def needs(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        missing(f"no {program} on this machine", "PATH")
    return found


@pytest.mark.by_hand
@pytest.mark.parametrize("path", SHELL, ids=name)
def test_shellcheck_has_nothing_to_say(path: Path) -> None:
    command = [needs("shellcheck"), "--external-sources", "--source-path", "SCRIPTDIR", str(path)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (told.returncode, told.stdout + told.stderr) == (0, "")


@pytest.mark.parametrize("path", SCRIPTS, ids=name)
def test_a_script_fails_on_the_first_error_and_shows_no_secret(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("#!/bin/bash\n")
    assert "\nset -euo pipefail\n" in text
    assert "set -x" not in text.replace("`set -x`", "")
    assert path.stat().st_mode & 0o111, "it is run, not read"


@pytest.mark.parametrize("path", SHELL, ids=name)
def test_no_secret_is_an_argument(path: Path) -> None:
    """A secret goes through a pipe or a file. `config` of a secret stands before a pipe, or is assigned."""
    for line in path.read_text().splitlines():
        if re.search(r"config [\w.]*(secret|password|tls_key)", line):
            assert re.search(
                r"^\s*(config [\w.]+( \"\")? \||(if .*)?password=\$\(config)|then password=", line
            ), line


@pytest.mark.parametrize("path", sorted(SPECS.glob("*/cluster-init/**/*.py")), ids=name)
def test_what_runs_on_a_node_is_python(path: Path) -> None:
    ast.parse(path.read_text(), feature_version=(3, 9 if "tests" in path.parts else 11))


@pytest.mark.by_hand
@pytest.mark.parametrize("path", UNITS, ids=name)
def test_systemd_finds_no_fault_in_a_unit(path: Path, tmp_path: Path) -> None:
    """Its exit code is 0 even for a line that it does not understand: what counts is that it says nothing."""
    copy = tmp_path / path.name
    # The programs are not on this machine.
    copy.write_text(re.sub(r"/opt/celery-autoscaler/bin/[\w-]+", "/bin/true", path.read_text()))
    command = [needs("systemd-analyze"), "verify", "--man=no", "--recursive-errors=no", str(copy)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (told.returncode, told.stderr) == (0, "")


@pytest.mark.by_hand
def test_a_line_that_systemd_does_not_know_is_said(tmp_path: Path) -> None:
    """The test above can fail."""
    unit = tmp_path / "x.service"
    unit.write_text("[Service]\nExecStart=/bin/true\nProtectSystm=yes\n")
    command = [needs("systemd-analyze"), "verify", "--man=no", str(unit)]
    assert "ProtectSystm" in subprocess.run(command, capture_output=True, text=True, check=False).stderr


@pytest.mark.by_hand
@pytest.mark.parametrize("path", UNITS, ids=name)
def test_a_unit_is_no_more_exposed_than_it_was(path: Path) -> None:
    command = [needs("systemd-analyze"), "security", "--offline=true", "--no-pager", str(path)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    score = re.search(r"exposure level for \S+: ([\d.]+)", told.stdout + told.stderr)
    assert score, told.stdout + told.stderr
    assert float(score[1]) <= MOST_EXPOSED[path.name]


@pytest.mark.parametrize("path", UNITS, ids=name)
def test_a_unit_is_tried_for_ever_and_stops_in_time(path: Path) -> None:
    text = path.read_text()
    for line in ("Restart=always", "StartLimitIntervalSec=0", "TimeoutStopSec=", "UMask=0077", "WantedBy="):
        assert f"\n{line}" in text, line
    assert "User=root" not in text
    assert re.search(r"^User=celery", text, re.MULTILINE)
    assert not re.search(r"^Environment=.*(URL|PASSWORD|SECRET)", text, re.MULTILINE), (
        "everybody may read a unit"
    )
