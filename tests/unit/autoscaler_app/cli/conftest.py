"""A world whose state file the commands read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autoscaler_app.passes.journal import Journal
from tests.unit.autoscaler_app.world import World


@pytest.fixture
def seen(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """The world's state file is the one that commands read, and it is as late for them as in the world."""
    settings = {"provider": "machines", "prices": {}, "autoscaler": {"state_file": "state.db"}}
    (tmp_path / "autoscale.json").write_text(json.dumps(settings))
    monkeypatch.setenv("AUTOSCALER_CONFIG", str(tmp_path / "autoscale.json"))
    monkeypatch.setattr(Journal, "now", lambda *_: world.now)
    return world
