"""An operator sees whose key is whose, and lets a host have another one, for a reason that is kept."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from autoscaler_app.cli.group import autoscaler
from autoscaler_app.memory.state import Binding, State
from celery_resources.trust.keys import keep_or_make

BOUND = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    settings = {
        "url": "http://127.0.0.1:1",
        "username": "u",
        "cluster_name": "c",
        "autoscaler": {"signing": True},
    }
    (tmp_path / "autoscale.json").write_text(json.dumps(settings))
    with closing(State(tmp_path / "autoscaler.db")) as state:
        for number in (1, 2):
            name = f"n{number}"
            state.bind_key(
                Binding(
                    node_id=f"id-{number}", instance_id="", hostname=name, key=f"key-{number}", bound=BOUND
                )
            )
    return tmp_path


def run(*arguments: str) -> tuple[int, str]:
    outcome = CliRunner().invoke(autoscaler, list(arguments))
    return outcome.exit_code, outcome.output


def test_whose_key_is_whose_and_our_own(folder: Path) -> None:
    code, shown = run("keys", "--json")
    assert code == 0
    facts = json.loads(shown)
    assert facts["control"] == keep_or_make(folder / "autoscaler.key", bytes).public
    assert [(each["host"], each["key"]) for each in facts["hosts"]] == [("n1", "key-1"), ("n2", "key-2")]
    assert "n2" in run("keys")[1]


def test_a_key_is_forgotten_for_a_reason_that_is_kept(folder: Path) -> None:
    code, said = run("forget-key", "N1.domain", "--reason", " disk\nreplaced ")
    assert (code, said) == (
        0,
        "N1.domain: its key is forgotten; the next pass binds the one that speaks then\n",
    )
    with closing(State(folder / "autoscaler.db")) as state:
        assert set(state.key_bindings()) == {"id-2"}
    [forgotten] = json.loads(run("keys", "--json")[1])["forgotten"]
    assert (forgotten["host"], forgotten["key"], forgotten["reason"]) == ("n1", "key-1", "disk replaced")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("n9", "--reason", "x"), "'n9' has no key; hosts that have one: n1, n2"),
        (("n1", "--reason", " "), "--reason is empty"),
        (("n1",), "Missing option '--reason'"),
    ],
)
def test_a_host_without_a_key_and_no_reason_are_refused(
    folder: Path, arguments: tuple[str, ...], said: str
) -> None:
    code, shown = run("forget-key", *arguments)
    assert code == 2
    assert said in shown
    with closing(State(folder / "autoscaler.db")) as state:
        assert len(state.key_bindings()) == 2


def test_off_it_says_so(folder: Path) -> None:
    settings = {"url": "http://127.0.0.1:1", "username": "u", "cluster_name": "c"}
    (folder / "autoscale.json").write_text(json.dumps(settings))
    assert "signing is off" in run("keys")[1]
    assert not (folder / "autoscaler.key").exists()
