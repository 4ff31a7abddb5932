"""What a person holds up, a person lets go on."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from celery import Celery
from click.testing import CliRunner

from autoscaler_app.cli.group import autoscaler
from autoscaler_app.memory.state import State


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CYCLECLOUD_PASSWORD", "nobody asks for it")
    settings = {"url": "http://127.0.0.1:1", "username": "u", "cluster_name": "c"}
    (tmp_path / "autoscale.json").write_text(json.dumps(settings))
    return tmp_path / "autoscaler.db"


def is_paused(database: Path) -> bool:
    with closing(State(database)) as state:
        return bool(state.fact("paused"))


def test_a_pause_lasts_until_it_is_ended(database: Path) -> None:
    for command, paused in (("pause", True), ("pause", True), ("resume", False), ("resume", False)):
        outcome = CliRunner().invoke(
            autoscaler, [command], obj=SimpleNamespace(app=Celery(broker="memory://"))
        )
        assert outcome.exit_code == 0, outcome.output
        assert is_paused(database) is paused
