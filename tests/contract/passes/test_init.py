"""`init` writes settings that work, for their owner only, and says whether cloud and broker answer."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from click.testing import CliRunner, Result

from autoscaler_app import settings
from autoscaler_app.cli.group import autoscaler
from cyclecloud_emulator.emulator import Emulator


@pytest.fixture
def init(tmp_path: Path, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUTOSCALER_CONFIG", raising=False)
    monkeypatch.delenv("CYCLECLOUD_PASSWORD", raising=False)

    def init(*words: str, typed: str = "", broker: str = valkey_url) -> Result:
        with Celery("ours", broker=broker, set_as_current=False) as ours:
            return CliRunner().invoke(
                autoscaler, ["init", *words], obj=SimpleNamespace(app=ours), input=typed
            )

    return init


def test_it_asks_writes_and_tries(init: Any, emulator: Emulator, tmp_path: Path) -> None:
    answers = [emulator.url, emulator.user, emulator.cluster, emulator.password]
    done = init(typed="\n".join(answers) + "\n")
    assert done.exit_code == 0, done.output
    assert "the cloud answers: " in done.output
    assert "the broker answers" in done.output
    assert emulator.password not in done.output
    for name in ("autoscale.json", "cyclecloud.password"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    assert "password" not in json.loads((tmp_path / "autoscale.json").read_text())
    assert settings.load().config["password"] == emulator.password


def test_what_is_given_is_not_asked_for(
    init: Any, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CYCLECLOUD_PASSWORD", emulator.password)
    words = ("--url", emulator.url, "--username", emulator.user, "--cluster", emulator.cluster)
    assert init(*words).exit_code == 0
    assert [path.name for path in tmp_path.iterdir() if "password" in path.name] == []
    done = init()
    assert done.exit_code == 2
    assert "autoscale.json is there already: --force writes over it" in done.output
    assert init(*words, "--force").exit_code == 0


def test_a_password_that_is_there_is_not_written_over(init: Any, emulator: Emulator, tmp_path: Path) -> None:
    (tmp_path / "cyclecloud.password").write_text("of another cluster")
    words = ("--url", emulator.url, "--username", emulator.user, "--cluster", emulator.cluster)
    done = init(*words, typed="mine\n")
    assert done.exit_code == 2
    assert "cyclecloud.password is there already" in done.output
    assert (tmp_path / "cyclecloud.password").read_text() == "of another cluster"
    assert {path.name for path in tmp_path.iterdir()} == {"cyclecloud.password"}


def test_what_does_not_answer_is_named_and_what_was_written_stays(
    init: Any, emulator: Emulator, tmp_path: Path
) -> None:
    (tmp_path / "pw").write_text("wrong")
    (tmp_path / "pw").chmod(0o600)
    words = ("--url", emulator.url, "--username", emulator.user, "--cluster", emulator.cluster)
    done = init(*words, "--password-file", "pw", broker="redis://127.0.0.1:1/0")
    assert done.exit_code == 1
    assert "the cloud does NOT answer as it should: " in done.output
    assert "the broker does NOT answer: " in done.output
    assert json.loads((tmp_path / "autoscale.json").read_text())["password_file"] == "pw"
    assert init(*words, "--password-file", "pw", "--force", "--no-test").exit_code == 0
