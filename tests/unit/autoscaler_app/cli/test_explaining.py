"""`explain` as people and scripts read it: a queue from the state file, a task from the live cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

from autoscaler_app.cli import explaining
from autoscaler_app.cli.group import autoscaler
from autoscaler_app.passes.control import Control
from tests.unit.autoscaler_app.world import World


@pytest.fixture
def read(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    settings = {"provider": "machines", "autoscaler": {"state_file": "state.db"}}
    (tmp_path / "autoscale.json").write_text(json.dumps(settings))
    monkeypatch.setenv("AUTOSCALER_CONFIG", str(tmp_path / "autoscale.json"))

    @contextmanager
    def opened(ctx: object, *, look: bool = True) -> Iterator[Control]:
        yield world.control

    monkeypatch.setattr(explaining, "opened", opened)
    world.queues.waiting["celery"] = 2
    world.make_pass()
    return world


def run(*words: str) -> Result:
    return CliRunner().invoke(autoscaler, ["explain", *words], obj=SimpleNamespace(app=None))


def test_a_queue_is_explained_from_the_state_file_alone(read: World) -> None:
    lines = run("--queue", "celery").output.splitlines()
    assert lines[0] == "celery: 2 waiting, 0 running (pass 1)"
    assert lines[1] == "  launch    2 wait for nodes that this pass has asked for: all/small"
    facts = json.loads(run("--queue", "celery", "--json").output)
    assert [(why["wait"], why["count"]) for why in facts["why"]] == [("launch", 2)]


def test_a_task_that_waits_leads_to_its_queue(read: World) -> None:
    lines = run("celery-17").output.splitlines()
    assert lines[0] == "celery-17 waits behind 3 others"
    assert lines[1].startswith("celery: 2 waiting")


def test_a_task_that_a_worker_has_says_where(read: World) -> None:
    (host,) = read.boot()
    host.running, host.held = ["one"], ["two"]
    host.coming = {"three": (read.now + timedelta(hours=1)).timestamp()}
    assert "one runs on host-m1 since " in run("one").output
    assert "two was taken from queue celery by host-m1" in run("two").output
    assert "three is to begin at 2026-11-22 13:00:00Z" in run("three").output
    assert json.loads(run("one", "--json").output)["task"]["state"] == "runs"


def test_a_task_that_is_nowhere_says_what_that_can_mean(read: World) -> None:
    told = run("strange")
    assert "it has ended, was revoked, or went to a queue that is not counted" in told.output
    assert (told.exit_code, run("strange", "--json").exit_code) == (1, 1)
    assert run("celery-17").exit_code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--queue", "celry"), "pass 1 knew no queue 'celry'; did you mean celery?"),
        ((), "name a task by its id, or a queue by --queue"),
        (("one", "--queue", "celery"), "and not both"),
    ],
)
def test_what_cannot_be_answered_is_a_sentence(read: World, words: tuple[str, ...], said: str) -> None:
    done = run(*words)
    assert (done.exit_code, said in done.output) == (2, True), done.output
