"""What the scripts of all roles share: reading the configuration, writing files whole, keeping secrets."""

from __future__ import annotations

import getpass
import grp
import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.unit.deploy.loading import DEPLOY

COMMON = DEPLOY / "specs/default/cluster-init/files/common.sh"
OWNER = f"{getpass.getuser()}:{grp.getgrgid(os.getgid()).gr_name}"
JETPACK = """#!/bin/bash
case "$1 $2" in
  "config known") echo value ;;
  "config none") echo None ;;
  "config on") echo True ;;
  config*) echo "$3" ;;
  log*) echo "$2" >>"$(dirname "$0")/told" ;;
esac
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "jetpack").write_text(JETPACK)
    (tmp_path / "jetpack").chmod(0o755)
    return tmp_path


def sh(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """The command after what every script begins with; data and jetpack are in this folder."""
    begin = f"set -euo pipefail; . {COMMON}; DATA_DIR={folder} JETPACK={folder}/jetpack; cd {folder}; "
    return subprocess.run(["bash", "-c", begin + command], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("command", "prints"),
    [
        ("config known", "value"),
        ("config known other", "value"),
        ("config missing other", "other"),
        ("config none other", "other"),
        ('config missing ""', ""),
        ("config_is_true on && echo yes", "yes\n"),
        ("config_is_true missing || echo no", "no\n"),
        ("config_is_true missing True && echo yes", "yes\n"),
    ],
)
def test_the_configuration_is_read_as_jetpack_prints_it(folder: Path, command: str, prints: str) -> None:
    assert (sh(folder, command).returncode, sh(folder, command).stdout) == (0, prints)


def test_what_the_template_has_to_say_and_does_not_ends_the_script_with_its_name(folder: Path) -> None:
    told = sh(folder, "value=$(config celery.missing); echo went on")
    assert told.returncode == 1
    assert told.stdout == ""
    assert "has no celery.missing" in told.stderr
    assert "celery.missing" in (folder / "told").read_text(), "on the cluster's page, too"


def test_a_file_is_written_whole_with_its_mode_and_touched_only_if_it_differs(folder: Path) -> None:
    file = folder / "file"
    assert sh(folder, f"echo one | put 0600 {OWNER} file").returncode == 0
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == ("one\n", 0o600)
    first = file.stat().st_ino
    sh(folder, f"echo one | put 0600 {OWNER} file")
    assert file.stat().st_ino == first
    sh(folder, f"echo one | put 0640 {OWNER} file")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    sh(folder, f"echo two | put 0640 {OWNER} file")
    assert file.read_text() == "two\n"
    assert sorted(os.listdir(folder)) == ["file", "jetpack"], "nothing is left beside it"


def test_a_file_that_is_being_written_is_never_open_to_others(folder: Path) -> None:
    writes = "until compgen -G '.new.*' >/dev/null; do sleep 0.01; done; stat -c %a .new.* >seen"
    sh(folder, f"umask 000; {{ {writes}; }} | put 0644 {OWNER} file")
    assert (folder / "seen").read_text() == "600\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="secrets belong to root")
def test_a_secret_is_made_once_and_by_chance(folder: Path) -> None:
    (folder / "secrets").mkdir()
    first, again, other = (sh(folder, f"secret {name}").stdout for name in ("a", "a", "b"))
    assert first == again != other
    assert len(first) == 64
    assert stat.S_IMODE((folder / "secrets/a").stat().st_mode) == 0o400


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_volume_of_another_machine_is_given_to_the_users_of_now(folder: Path) -> None:
    (folder / "volume/below").mkdir(parents=True)
    (folder / "volume/below/file").touch()
    (folder / "outside").touch()
    (folder / "volume/link").symlink_to(folder / "outside")
    for path in ("volume", "volume/below", "volume/below/file", "outside"):
        os.chown(folder / path, 12345, 12345)
    os.lchown(folder / "volume/link", 12345, 12345)
    assert sh(folder, f"data_folder 0750 {getpass.getuser()} {folder}/volume").returncode == 0
    assert {path.lstat().st_uid for path in [folder / "volume", *(folder / "volume").rglob("*")]} == {
        os.getuid()
    }
    assert (folder / "outside").stat().st_uid == 12345, "what a link points to is not"
