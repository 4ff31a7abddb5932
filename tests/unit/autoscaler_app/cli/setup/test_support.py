"""`support`: one file with all that is needed for a report of a fault, and with none of the passwords."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from click.testing import CliRunner, Result

from autoscaler_app.cli.group import autoscaler
from autoscaler_app.cli.setup.support import secrets_of, without
from autoscaler_app.passes.one_pass import make_pass
from scalelib.errors import CloudUnreachable
from tests.unit.autoscaler_app.world import World

PARTS = {"versions.json", "settings.json", "reports.json", "status.json", "doctor.json", "snapshot.json"}


@pytest.fixture
def run(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUTOSCALER_CONFIG", str(tmp_path / "autoscale.json"))
    monkeypatch.setenv("CYCLECLOUD_PASSWORD", "hush-cloud")
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://:hush-broker@127.0.0.1:1/0")
    monkeypatch.setenv("AUTOSCALER_BEAT_DATABASE", "postgresql://u:hush%2Fbeat@db/b")
    config = {"provider": "machines", "cluster_name": "c", "autoscaler": {"state_file": "state.db"}}
    (tmp_path / "autoscale.json").write_text(json.dumps(config))

    def run(*words: str) -> Result:
        with Celery("ours", set_as_current=False) as ours:
            ours.conf.beat_schedule = {}
            return CliRunner().invoke(autoscaler, ["support", *words], obj=SimpleNamespace(app=ours))

    return run


def read(file: Path) -> dict[str, Any]:
    with zipfile.ZipFile(file) as archive:
        return {name: json.loads(archive.read(name)) for name in archive.namelist()}


def test_what_cannot_be_told_says_why_and_the_rest_is_there(world: World, run: Any, tmp_path: Path) -> None:
    def refuses() -> Any:
        raise CloudUnreachable("login with hush-cloud was refused")

    world.control.provider.cloud = refuses  # type: ignore[method-assign]
    make_pass(world.control)
    done = run("fault.zip")
    assert done.exit_code == 0, done.output
    file = tmp_path / "fault.zip"
    assert file.stat().st_mode & 0o777 == 0o600
    parts = read(file)
    assert parts.keys() == PARTS
    assert parts["versions.json"]["celery"]
    assert "127.0.0.1:1" in parts["snapshot.json"]["could_not_be_told"]
    [report] = parts["reports.json"]
    assert report["error"] == "CloudUnreachable: login with *** was refused"


def test_no_password_is_in_it(run: Any, tmp_path: Path) -> None:
    run("fault.zip")
    everything = json.dumps(read(tmp_path / "fault.zip"))
    assert "hush" not in everything
    assert "cluster_name" in everything


def test_a_file_that_is_there_is_not_written_over(run: Any, tmp_path: Path) -> None:
    (tmp_path / "fault.zip").write_text("mine")
    done = run("fault.zip")
    assert done.exit_code == 2
    assert "fault.zip is there already" in done.output
    assert (tmp_path / "fault.zip").read_text() == "mine"
    assert "cannot be written" in run("no/such/folder.zip").output


def test_passwords_are_known_as_they_are_and_as_urls_write_them(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CYCLECLOUD_PASSWORD")
    (tmp_path / "pw").write_text("hush-file")
    (tmp_path / "pw").chmod(0o600)
    config = {"provider": "machines", "cluster_name": "c", "password_file": "pw"}
    (tmp_path / "autoscale.json").write_text(json.dumps(config))
    with Celery("ours", set_as_current=False) as ours:
        assert {"hush-file", "hush%2Fbeat", "hush/beat", "hush-broker"} <= secrets_of(ours)


def test_secrets_are_hidden_wherever_they_stand_the_longest_first() -> None:
    secrets = frozenset({"abc", "abcdef"})
    value = {"abc": ["x abcdef y", 1, None, {"k": "abc"}]}
    assert without(secrets, value) == {"***": ["x *** y", 1, None, {"k": "***"}]}
