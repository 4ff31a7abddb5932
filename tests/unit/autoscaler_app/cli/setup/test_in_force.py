"""`config`: each value that is in force, where it comes from, and no secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autoscaler_app.celery import app
from autoscaler_app.cli.setup.in_force import Setting, in_force, text, without_password


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUTOSCALER_CONFIG", raising=False)
    monkeypatch.delenv("CYCLECLOUD_PASSWORD", raising=False)
    monkeypatch.delenv("CELERY_BROKER_URL", raising=False)
    (tmp_path / "pw").write_text("hush-file")
    (tmp_path / "pw").chmod(0o600)
    write(tmp_path, url="http://a", username="u", cluster_name="c", password_file="pw")
    return tmp_path


def write(folder: Path, **config: Any) -> None:
    lines = ",\n".join(f'"{key}": {json.dumps(value)}' for key, value in config.items())
    (folder / "autoscale.json").write_text(f"{{\n{lines}\n}}")


def found() -> dict[str, Setting]:
    return {each.key: each for each in in_force(app)}


def test_each_value_says_the_line_that_it_comes_from(folder: Path) -> None:
    (folder / "more.json").write_text('{"idle_timeout": 60}')
    write(folder, url="http://a", cluster_name="c", include=["more.json"], autoscaler={"queues": ["a"]})
    said = found()
    assert (said["cluster_name"].value, said["cluster_name"].origin) == ("c", "autoscale.json: line 3")
    assert (said["idle_timeout"].value, said["idle_timeout"].origin) == (60, "more.json: line 1")
    assert said["autoscaler.queues"].value == ("a",)
    assert said["autoscaler.queues"].origin == "autoscale.json: line 5"
    assert (said["autoscaler.eta_margin"].value, said["autoscaler.eta_margin"].origin) == (60.0, "default")


def test_a_section_of_another_scheduler_is_named_and_not_shown(folder: Path) -> None:
    write(folder, url="http://a", cluster_name="c", pbspro={"token": "hush"})
    said = found()["pbspro"]
    assert (said.value, said.origin) == ("***", "autoscale.json: line 4: none of ours, left alone")


def test_the_password_is_stars_and_says_where_it_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (found()["password"].value, found()["password"].origin) == ("***", "autoscale.json: line 5")
    monkeypatch.setenv("CYCLECLOUD_PASSWORD", "hush-environment")
    said = found()
    assert said["password"].origin == "$CYCLECLOUD_PASSWORD"
    assert "hush" not in text(list(said.values()))


def test_what_passes_need_is_fixed_and_the_broker_may_come_from_the_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (found()["worker_pool"].value, found()["worker_pool"].origin) == ("threads", "fixed")
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://me:hush@10.0.0.1/2;redis://:hush@10.0.0.2/2")
    said = found()["broker_url"]
    assert said.origin == "$CELERY_BROKER_URL"
    assert said.value == "redis://me:***@10.0.0.1/2;redis://:***@10.0.0.2/2"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rpc://", "rpc://"),
        ("amqp://guest:hush@rabbit:5672//", "amqp://guest:***@rabbit:5672//"),
        ("redis://:p%40ss@[::1]:6379/0", "redis://:***@[::1]:6379/0"),
        ("redis://10.0.0.1/0", "redis://10.0.0.1/0"),
    ],
)
def test_only_the_password_of_a_url_is_hidden(url: str, shown: str) -> None:
    assert without_password(url) == shown
