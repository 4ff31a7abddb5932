"""What a person holds up, a person lets go on."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from celery import Celery
from click.testing import CliRunner, Result

from autoscaler_app.cli.group import autoscaler
from autoscaler_app.memory import orders
from autoscaler_app.memory.orders import Pause
from autoscaler_app.memory.state import State

Say = Callable[..., Result]


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SUDO_USER", "ann")
    monkeypatch.setenv("CYCLECLOUD_PASSWORD", "nobody asks for it")
    settings = {"url": "http://127.0.0.1:1", "username": "u", "cluster_name": "c"}
    (tmp_path / "autoscale.json").write_text(json.dumps(settings))
    return tmp_path / "autoscaler.db"


@pytest.fixture
def say(database: Path) -> Say:
    def said(*words: str) -> Result:
        return CliRunner().invoke(autoscaler, words, obj=SimpleNamespace(app=Celery(broker="memory://")))

    return said


def pauses(database: Path) -> tuple[Pause, ...]:
    with closing(State(database)) as state:
        return orders.in_force(state.fact(orders.PAUSES), datetime.now(UTC))


def test_a_pause_lasts_until_it_is_ended(say: Say, database: Path) -> None:
    for command, paused in (("pause", True), ("pause", True), ("resume", False), ("resume", False)):
        outcome = say(command)
        assert outcome.exit_code == 0, outcome.output
        with closing(State(database)) as state:
            assert orders.is_paused(state, datetime.now(UTC)) is paused


def test_who_why_and_until_when_are_written_down_and_shown(say: Say, database: Path) -> None:
    outcome = say("pause", "--for", "2h", "--why", "upgrade")
    (pause,) = pauses(database)
    assert (pause.who, pause.why, pause.is_whole) == ("ann", "upgrade", True)
    assert pause.until is not None
    assert pause.at is not None
    assert pause.until - pause.at == timedelta(hours=2)
    told = f"nothing is launched, fenced or ended ({orders.told(pause)})"
    assert f"paused: {told}; `resume` ends it" in outcome.output
    outcome = say("resume")
    assert f"{told}" not in outcome.output
    assert "ann" in outcome.output


def test_each_part_is_paused_and_resumed_by_itself(say: Say, database: Path) -> None:
    say("pause", "--growth")
    outcome = say("pause", "--shrinking", "--nodearray", "gpu")
    assert "whether there is a nodearray 'gpu' is not known" in outcome.output, "the cloud is away"
    say("pause", "--queue", "celery")
    assert [(p.growth, p.shrinking, p.nodearray, p.queue) for p in pauses(database)] == [
        (True, False, "", ""),
        (False, True, "gpu", ""),
        (True, False, "", "celery"),
    ]
    outcome = say("resume")
    assert (
        "still paused: nothing is fenced or ended in gpu (ann); `resume --nodearray gpu` ends it"
        in outcome.output
    )
    say("resume", "--queue", "celery")
    assert [each.nodearray for each in pauses(database)] == ["gpu"]


@pytest.mark.parametrize(
    "words",
    [("--nodearray", "a", "--queue", "b"), ("--queue", "b", "--shrinking")],
    ids=["both", "shrinking"],
)
def test_what_cannot_be_paused_is_refused(words: tuple[str, ...], say: Say, database: Path) -> None:
    outcome = say("pause", *words)
    assert (outcome.exit_code, pauses(database)) == (2, ()), outcome.output


def test_a_pause_that_lasts_too_long_is_bad_and_not_only_a_warning(say: Say, database: Path) -> None:
    say("pause")
    before = datetime.now(UTC) - timedelta(days=2)
    with closing(State(database)) as state:
        orders.change_pauses(state, lambda _: [Pause(who="ann", at=before)])
        from autoscaler_app.passes import report
        from autoscaler_app.passes.report import Report, Saw

        now = datetime.now(UTC)
        state.journal.write(now, report.encode(Report(started=now, saw=Saw())))
    with Celery("test", broker="memory://", set_as_current=False) as app:
        outcome = CliRunner().invoke(autoscaler, ["status", "--check"], obj=SimpleNamespace(app=app))
    assert (outcome.exit_code, "for 48.0 h now" in outcome.output) == (2, True), outcome.output
