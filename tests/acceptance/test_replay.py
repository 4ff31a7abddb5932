"""A saved snapshot gives the plan that was made from it, without a broker and without a cloud."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from demo.site import ROOT, Site
from tests.acceptance.test_bad_input import autoscaler

Send = Callable[..., list[str]]
WaitUntil = Callable[..., object]


def test_replay_of_what_plan_saved_is_the_same_plan_and_needs_nothing(
    site: Site, send: Send, wait_until: WaitUntil, tmp_path: Path
) -> None:
    send(6, "mixed")
    # The kinds are announced to the control queue; one worker with nothing but that queue takes them.
    control = site.start_control()
    wait_until(site.nodes, seconds=60, what="the new kinds have asked for a pass")
    control.stop()
    made = autoscaler("run", "--json", env=site.env)
    assert made.returncode == 0, made.stderr
    saved = tmp_path / "snapshot.json"
    planned = autoscaler("plan", "--json", "--save", str(saved), env=site.env)
    assert planned.returncode == 0, planned.stderr
    assert site.password not in saved.read_text()

    bare = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    replayed = subprocess.run(
        [
            sys.executable,
            "-m",
            "celery",
            "-A",
            "autoscaler_app",
            "autoscaler",
            "replay",
            str(saved),
            "--json",
        ],
        cwd=ROOT,
        env={**bare, "CELERY_BROKER_URL": "redis://127.0.0.1:1/0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    first, second = json.loads(planned.stdout), json.loads(replayed.stdout)
    assert first.pop("planning_seconds") > 0
    assert second.pop("planning_seconds") > 0
    assert first == second
    assert first["keep"], "there is something to decide about"
