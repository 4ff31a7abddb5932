"""`validate`: constraints against the machines that the cluster can launch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from autoscaler_app.cli.group import autoscaler
from autoscaler_app.cli.setup import validate
from autoscaler_app.passes.control import Control
from tests.unit.autoscaler_app.world import World


@pytest.fixture
def run(world: World, monkeypatch: pytest.MonkeyPatch) -> Any:
    @contextmanager
    def opened(ctx: object) -> Iterator[Control]:
        yield world.control

    monkeypatch.setattr(validate, "opened", opened)

    def run(*words: str) -> Result:
        return CliRunner().invoke(
            autoscaler, ["validate", *words], obj=SimpleNamespace(app=world.control.app)
        )

    return run


def test_it_says_how_many_each_machine_holds_the_cheapest_first_and_what_is_in_the_way(run: Any) -> None:
    done = run('{"ncpus": 4}')
    assert done.exit_code == 0
    lines = [line.split() for line in done.output.splitlines()]
    assert lines[1:3] == [["all", "large", "2", "1.5000"], ["all", "small", "none"]]
    assert "all/small: no bucket can ever hold it" in done.output


def test_where_none_could_the_exit_code_says_so(run: Any) -> None:
    done = run('{"ncpus": 4000}', "--json")
    assert done.exit_code == 1
    assert {each["vm_size"]: each["holds"] for each in json.loads(done.output)} == {"small": 0, "large": 0}


def test_what_is_set_aside_just_now_is_said_beside_what_it_holds(world: World, run: Any) -> None:
    world.cloud.tried = {"large": "no machine of this size is to be had"}
    done = run('{"ncpus": 8}')
    assert done.exit_code == 0
    assert "all/large: no machine of this size is to be had" in done.output


def test_gangs_and_exclusive_work_are_asked_for_by_options(run: Any) -> None:
    assert run('{"ncpus": 1}', "--exclusive").output.splitlines()[1].split()[:3] == ["all", "small", "1"]
    assert run('{"ncpus": 2}', "--node-count", "2").exit_code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("{ncpus: 4}",), "the constraints '{ncpus: 4}'"),
        (("[4]",), "must be a mapping"),
        (('{"ncpus": 1}', "--node-count", "-1"), "node_count must be"),
    ],
)
def test_what_cannot_be_read_is_a_sentence(run: Any, words: tuple[str, ...], said: str) -> None:
    done = run(*words)
    assert done.exit_code == 2
    assert said in done.output
