"""`top`: how things stand with what was; plain text for a pipe; on a terminal it ends cleanly."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

from click.testing import CliRunner, Result

from autoscaler_app.cli.group import autoscaler
from autoscaler_app.cli.seeing import top
from tests.unit.autoscaler_app.world import World

ROOT = Path(__file__).resolve().parents[5]
APP = SimpleNamespace(app=SimpleNamespace(conf=SimpleNamespace(beat_schedule={})))


def run(*words: str) -> Result:
    return CliRunner().invoke(autoscaler, ["top", *words], obj=APP)


def busy(seen: World) -> None:
    seen.queues.waiting["celery"] = 4
    seen.make_pass()
    for host in seen.boot():
        host.running = [f"{host.name}-1", f"{host.name}-2"]
    seen.queues.waiting["celery"] = 3
    for _ in range(20):
        seen.go_on(30)
        seen.make_pass()


def test_one_look_has_all_and_no_line_is_wider_than_the_terminal(seen: World) -> None:
    busy(seen)
    done = run("--once")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("OK: pass 21 0 s ago")
    said = {line.split()[0]: line for line in lines if line.strip()}
    assert said["demand"].rstrip().endswith("7 in all")
    assert "█" in said["waiting"]
    assert said["capacity"].rstrip().endswith("4 cores up")
    assert "/h" in said["money"]
    assert "2 Ready" in said["nodes"]
    assert said["celery"].split()[1:3] == ["3", "4"]


def test_as_json_a_look_is_one_object_on_one_line(seen: World) -> None:
    busy(seen)
    (line,) = run("--once", "--json", "--span", "day").output.splitlines()
    look = json.loads(line)
    assert (look["code"], look["span"], look["nodes"]) == (0, "day", {"Ready": 2, "Preparing": 2})
    assert [queue["queue"] for queue in look["queues"]] == ["celery"]
    assert look["past"][-1]["waiting"] == 3


def test_what_no_pass_saw_is_a_gap_and_not_a_zero(seen: World) -> None:
    seen.queues.waiting["celery"] = 4
    seen.make_pass()
    seen.go_on(600)
    seen.make_pass()
    look = top.looked("hour", timedelta(seconds=15))
    values = top._over(look, lambda point: point.demand)
    assert [value is not None for value in values[-21:]] == [True, *([False] * 19), True]
    assert values[-1] == values[-21] == 4


def test_before_the_first_pass_that_is_said(seen: World) -> None:
    assert "CRITICAL: no pass has been made yet" in run("--once").output


def test_on_a_terminal_it_shows_until_ctrl_c_and_leaves_it_as_it_was(seen: World, tmp_path: Path) -> None:
    busy(seen)
    settings = {"url": "https://cloud.example", "username": "u", "cluster_name": "c"}
    there = tmp_path / "elsewhere.json"
    there.write_text(json.dumps({**settings, "autoscaler": {"state_file": "state.db"}}))
    shown, terminal = pty.openpty()
    # Where the tests run in the background a shell has Ctrl-C ignored, and what they start inherits that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        child = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "autoscaler_app", "autoscaler", "top", "--every", "0.1"],
            cwd=tmp_path,
            env={**os.environ, "AUTOSCALER_CONFIG": str(there), "PYTHONPATH": str(ROOT)},
            stdout=terminal,
            stderr=terminal,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        os.close(terminal)
        text = _until(shown, lambda text: text.count(top.HOME) >= 3)
        assert text.startswith(top.ALTERNATE)
        assert "demand" in text
        child.send_signal(signal.SIGINT)
        assert _until(shown, lambda text: top.BACK in text).endswith(top.BACK)
        assert child.wait(timeout=20) == 0
    finally:
        child.kill()
        child.wait()
        os.close(shown)


def _until(descriptor: int, is_enough: object) -> str:
    text, deadline = "", time.monotonic() + 30
    while not is_enough(text):  # type: ignore[operator]
        assert time.monotonic() < deadline, text
        text += os.read(descriptor, 65536).decode(errors="replace")
    return text
