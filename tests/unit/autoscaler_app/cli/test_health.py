"""`status --check`, and what `status` shows when the last pass saw nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from autoscaler_app.cli import health, show
from autoscaler_app.cli.group import autoscaler
from autoscaler_app.cli.health import CRITICAL, OK, WARNING
from autoscaler_app.memory.orders import Pause
from autoscaler_app.passes.journal import Journal
from autoscaler_app.passes.one_pass import make_pass
from autoscaler_app.passes.report import Report, Saw
from autoscaler_app.schedule import every
from scalelib.errors import CloudUnreachable
from tests.unit.autoscaler_app.world import NOON, World

INTERVAL = timedelta(seconds=15)
IN_CHARGE: dict[str, Any] = {"why_not": ""}


def report(**fields: Any) -> Report:
    return Report(number=7, started=NOON, seconds=1.0, **fields)


def checked(
    last: Report | None, *, age: float = 10, paused: Sequence[Pause] = (), why_not: str = ""
) -> tuple[int, str]:
    now = NOON + timedelta(seconds=age)
    return health.check(last, now, INTERVAL, paused=paused, worker={"why_not": why_not})


def test_all_is_well(world: World) -> None:
    made = world.make_pass()
    code, said = health.check(made, made.started, INTERVAL, paused=(), worker=IN_CHARGE)
    assert (code, said.split(":")[:2]) == (OK, ["OK", " pass 1 0 s ago"])


@pytest.mark.parametrize(
    ("code", "said", "how"),
    [
        (CRITICAL, "no pass has been made yet: start", {"last": None}),
        (CRITICAL, "the last pass ended 45 s ago, and one is due every 15 s", {"age": 46.1}),
        (OK, "OK", {"age": 45.9}),
        (CRITICAL, "pass 7 failed: the cloud is away", {"last": report(error="the cloud is away")}),
        (CRITICAL, "not in charge: vm-2 has the lease", {"why_not": "vm-2 has the lease"}),
        (WARNING, "paused: ", {"paused": [Pause()]}),
        (WARNING, "a queue is odd", {"last": report(saw=Saw(warnings=("a queue is odd",)))}),
    ],
)
def test_what_is_wrong_is_named_with_what_to_do(code: int, said: str, how: dict[str, Any]) -> None:
    found, sentence = checked(**{"last": report(error=""), **how})
    assert found == code
    assert said in sentence
    assert "\n" not in sentence


def test_of_several_matters_the_worst_is_named_and_the_others_are_counted() -> None:
    code, said = checked(report(error="the cloud is away", saw=Saw(warnings=("odd",))), paused=[Pause()])
    assert code == CRITICAL
    assert said == "CRITICAL: pass 7 failed: the cloud is away (and 2 more: `status`)"
    code, said = checked(report(error=""), paused=[Pause()], why_not="vm-2 has the lease")
    assert said == "CRITICAL: the control worker is not in charge: vm-2 has the lease (and 1 more: `status`)"


def test_work_without_a_place_is_a_warning_with_its_reason(world: World) -> None:
    world.queues.waiting["celery"] = 10_000
    made = world.make_pass()
    code, said = health.check(made, made.started, INTERVAL, paused=(), worker=IN_CHARGE)
    assert code == WARNING
    assert "of celery (" in said


@pytest.fixture
def read(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    settings = {"provider": "machines", "autoscaler": {"state_file": "state.db"}}
    (tmp_path / "autoscale.json").write_text(json.dumps(settings))
    monkeypatch.setenv("AUTOSCALER_CONFIG", str(tmp_path / "autoscale.json"))
    return world


def run(*words: str) -> Result:
    app = SimpleNamespace(conf=SimpleNamespace(beat_schedule=every(15)))
    return CliRunner().invoke(autoscaler, ["status", *words], obj=SimpleNamespace(app=app))


def test_the_exit_code_is_for_monitoring(read: World) -> None:
    assert run("--check").exit_code == CRITICAL
    facts = json.loads(run("--check", "--json").output)
    assert (facts["code"], facts["sentence"].split(":")[0]) == (CRITICAL, "CRITICAL")


def test_after_a_failed_pass_the_last_sight_is_shown_with_its_age_and_never_zeros(read: World) -> None:
    read.queues.waiting["celery"] = 2
    read.make_pass()
    read.go_on(30)

    def fails() -> None:
        raise CloudUnreachable("the cloud does not answer")

    read.control.provider.cloud = fails  # type: ignore[method-assign, assignment]
    assert make_pass(read.control).saw is None
    told = show.status(show.status_of(Journal(state=read.control.state)) | {"control_worker": None})
    assert "what follows was seen by pass 1" in told
    assert [line.split() for line in told.splitlines() if line.startswith("celery")] == [
        ["celery", "2", "0", "0"]
    ]
