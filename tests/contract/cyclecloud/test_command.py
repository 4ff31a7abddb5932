"""`python -m cyclecloud_api` against the emulator."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from cyclecloud_api.__main__ import main

if TYPE_CHECKING:
    from conftest import World

Run = Callable[..., Result]


@pytest.fixture
def run(world: World) -> Run:
    """The command with the emulator's address in the environment."""
    environment = {
        "CYCLECLOUD_URL": world.emulator.url,
        "CYCLECLOUD_USERNAME": world.emulator.user,
        "CYCLECLOUD_PASSWORD": world.emulator.password,
        "CYCLECLOUD_CLUSTER": world.emulator.cluster,
    }

    def call(*words: str, **changes: str | None) -> Result:
        return CliRunner(env={**environment, **changes}).invoke(main, list(words))

    return call


def test_a_day_in_the_life(run: Run, world: World) -> None:
    made = run("create", "worker", "--count", "2", "--size", "Standard_D4s_v5", "--request-id", "r")
    assert (made.exit_code, made.output.split(";")[0]) == (0, "created 2 of 2")
    assert "worker-1" in run("nodes").output
    listed = json.loads(run("nodes", "--request-id", "r", "--json").output)
    assert [n["Name"] for n in listed] == ["worker-1", "worker-2"]
    table = run("status").output.splitlines()
    assert table[1].split()[:2] == ["NODEARRAY", "SIZE"]
    assert any(line.split()[:2] == ["worker", "Standard_D4s_v5"] for line in table)
    assert json.loads(run("status", "--nodes", "--json").output)["nodes"]
    assert "create" in run("operations", "--request-id", "r").output
    assert run("usage").exit_code == 0
    ended = run("terminate", "worker-1", "no-such-node")
    assert ended.exit_code == 0
    assert "no-such-node: no such node" in ended.output
    assert run("terminate", "--ids", listed[1]["NodeId"]).exit_code == 0


def test_fewer_than_asked_is_exit_code_1(run: Run) -> None:
    made = run("create", "gpu", "--count", "50")
    assert made.exit_code == 1
    assert "created 4 of 50" in made.output


def test_an_error_is_one_line_and_no_traceback(run: Run, world: World) -> None:
    for words, changes, said in (
        (["status"], {"CYCLECLOUD_CLUSTER": "nowhere"}, "GET /clusters/nowhere/status"),
        (["create", "nowhere"], {}, "nowhere"),
        (["status"], {"CYCLECLOUD_URL": None}, "url is missing"),
        (["status"], {"CYCLECLOUD_PASSWORD": None}, "password is missing"),
        (["status"], {"CYCLECLOUD_URL": "http://127.0.0.1:1"}, "cannot connect to http://127.0.0.1:1"),
    ):
        result = run(*words, **changes)
        assert result.exit_code == 1
        assert said in result.output
        assert len(result.output.splitlines()) == 1


def test_a_create_without_an_answer_says_how_to_ask_for_it(run: Run, world: World) -> None:
    world.fault("lost", path="create")
    result = run("create", "worker")
    assert result.exit_code == 1
    asked = result.output.split("--request-id ")[1].split()[0]
    assert "worker-1" in run("nodes", "--request-id", asked).output


def test_the_password_may_come_from_a_file(run: Run, world: World, tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text(world.emulator.password)
    path.chmod(0o600)
    result = run("--password-file", str(path), "status", CYCLECLOUD_PASSWORD=None)
    assert result.exit_code == 0
