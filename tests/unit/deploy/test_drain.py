"""How a node is emptied within a notice, with a stand-in for systemctl."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.unit.deploy.loading import DEPLOY

DRAIN = DEPLOY / "specs/worker/cluster-init/files/drain.sh"
SYSTEMCTL = """#!/bin/bash
cd "$(dirname "$0")"
echo "$*" >>told
case "$*" in
  show*) sleep {look}; [ -e ended ] && echo 0 || echo 4711 ;;
  *--signal={ends}*) touch ended ;;
esac
"""
STOP = "stop --no-block celery-worker.service"
LOOK = "show -p MainPID --value celery-worker.service"
GIVE_BACK = "kill --kill-who=main --signal=SIGQUIT celery-worker.service"
END = "kill --signal=SIGKILL celery-worker.service"


def drain(folder: Path, seconds: int, *, ends: str = "none", look: float = 0) -> list[str]:
    """What systemd was told. `ends`: the signal that ends the worker; `look`: seconds that a look takes."""
    (folder / "systemctl").write_text(SYSTEMCTL.replace("{ends}", ends).replace("{look}", str(look)))
    (folder / "systemctl").chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    told = subprocess.run(["bash", str(DRAIN), str(seconds)], env=environment, check=False)
    assert told.returncode == 0, "jetpack holds the event until then"
    return (folder / "told").read_text().splitlines()


def test_a_worker_that_has_ended_is_waited_for_no_longer(tmp_path: Path) -> None:
    (tmp_path / "ended").touch()
    assert drain(tmp_path, 60) == [STOP, LOOK]


def test_what_still_runs_when_the_time_is_nearly_over_is_given_back_once(tmp_path: Path) -> None:
    assert drain(tmp_path, 4, ends="SIGQUIT") == [STOP, LOOK, GIVE_BACK, LOOK]


def test_the_notice_is_kept_by_the_clock_where_each_look_takes_long(tmp_path: Path) -> None:
    told = drain(tmp_path, 3, look=1)
    assert [each for each in told if each != LOOK] == [STOP, GIVE_BACK, END]
    assert told.count(LOOK) <= 3, "not one for each second"
