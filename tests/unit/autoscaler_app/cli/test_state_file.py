"""A state file that cannot be used is one sentence and exit code 2, whatever is asked."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from celery import Celery
from click.testing import CliRunner

from autoscaler_app.cli.group import autoscaler

NEEDS_NONE = {"config", "replay", "web", "ping", "stop", "reload", "init", "check", "support"}
"""Commands that open no state file themselves; the page is tried in its own tests."""
ARGUMENTS = {
    "forget-key": ("n1", "--reason", "lost"),
    "why": ("n1",),
    "explain": ("t1",),
    "validate": ("{}",),
    "record": ("trace.jsonl", "--seconds", "1"),
} | dict.fromkeys(("hold", "unhold", "drain", "undrain", "delete"), ("n1",))
"""Of commands that have to be told something."""


def no_database(path: Path) -> None:
    path.write_text("this is no database, and longer than the head of one would be " * 20)


def a_folder(path: Path) -> None:
    path.mkdir()


def from_a_newer_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        for table in ("control_schema", "cyclecloud_schema", "node_history_schema", "stories_schema"):
            db.execute(f"CREATE TABLE {table} (only INTEGER PRIMARY KEY, version INTEGER)")
            db.execute(f"INSERT INTO {table} VALUES (1, 9999)")
        db.commit()


@pytest.mark.parametrize("spoil", [no_database, a_folder, from_a_newer_version], ids=lambda f: f.__name__)
@pytest.mark.parametrize("command", sorted(set(autoscaler.commands) - NEEDS_NONE))
def test_a_state_file_that_cannot_be_used_is_one_sentence(
    command: str, spoil: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CYCLECLOUD_PASSWORD", "never-sent")
    settings = {"url": "http://127.0.0.1:1", "username": "u", "cluster_name": "c"}
    (tmp_path / "autoscale.json").write_text(json.dumps(settings))
    spoil(tmp_path / "autoscaler.db")
    with Celery("test", broker="redis://127.0.0.1:1/0", set_as_current=False) as app:
        outcome = CliRunner().invoke(
            autoscaler, [command, *ARGUMENTS.get(command, ())], obj=SimpleNamespace(app=app)
        )
    assert outcome.exit_code == 2, outcome.output
    [line] = outcome.output.splitlines()
    assert line.startswith("error: ")
    assert "autoscaler.db" in line
