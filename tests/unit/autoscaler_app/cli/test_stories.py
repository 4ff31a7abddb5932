"""`why`, `history` and `cost` as a person and as a script read them, from the state file alone."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from autoscaler_app.cli import stories
from autoscaler_app.cli.group import autoscaler
from autoscaler_app.memory.stories.story import BOOTING, IDLE, UNHEARD, Spent
from autoscaler_app.passes.plan import KeepReason
from tests.unit.autoscaler_app.world import NOON, World

DOCS = Path(__file__).parents[4] / "docs" / "commands.md"


@pytest.fixture
def read(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose state file the commands read; one node has come, worked and gone, another is there."""
    config = tmp_path / "autoscale.json"
    config.write_text(
        json.dumps({"provider": "machines", "prices": {}, "autoscaler": {"state_file": "state.db"}})
    )
    monkeypatch.setenv("AUTOSCALER_CONFIG", str(config))
    world.queues.waiting["celery"] = 2
    world.make_pass()
    (host,) = world.boot()
    world.queues.waiting["celery"] = 0
    host.running = ["one"]
    world.make_pass()
    world.go_on(3600)
    world.make_pass()
    world.cloud.machines.clear()
    world.queues.waiting["celery"] = 2
    world.go_on(60)
    world.make_pass()
    return world


def run(*words: str) -> str:
    done = CliRunner().invoke(autoscaler, words)
    assert done.exit_code == 0, done.output
    return done.output


def test_why_tells_the_story_of_a_node_that_is_gone(read: World) -> None:
    told = run("why", "m1")
    assert told.splitlines()[0] == "m1  all/small, host host-m1  (id m1)"
    assert "2026-11-22 12:00:00Z  pass 1      launched: for 2 x celery" in told
    assert "gone: not by us: it was Ready when it was seen last" in told
    assert "busy for 60.0 min" in told
    assert "cost 1.000 so far" in told


def test_why_tells_why_a_node_is_still_there(read: World) -> None:
    read.go_on(10)
    read.make_pass()
    (there,) = read.control.stories.present()
    told = run("why", there)
    assert "now: booting: it boots (2 x celery)" in told
    facts = json.loads(run("why", there, "--json"))
    assert facts["stays"].startswith("booting")
    assert facts["stories"][0]["jobs"] == {"celery": 2}


def test_a_node_that_is_idle_says_how_long_it_stays(read: World) -> None:
    read.queues.waiting["celery"] = 0
    read.hosts.of.clear()
    read.boot()
    read.go_on(10)
    read.make_pass()
    read.go_on(100)
    read.make_pass()
    (there,) = read.control.stories.present()
    assert "idle-not-long-enough: idle for 1" in run("why", there)
    assert "goes after 300 s" in run("why", there)


def test_a_name_that_is_not_known_is_an_error_that_helps(read: World) -> None:
    done = CliRunner().invoke(autoscaler, ["why", "host-m1x"])
    assert done.exit_code == 2
    assert "no node is or was called 'host-m1x'" in done.output
    assert "did you mean host-m1" in done.output


def test_history_has_those_that_are_there_before_those_that_went(read: World) -> None:
    lines = run("history").splitlines()
    assert lines[0].split() == ["NODE", "VM_SIZE", "BEGAN", "GONE", "WHY", "TASKS", "BUSY", "COST"]
    assert lines[-1].startswith("m1 ")
    assert "100%" in lines[-1]
    assert [story["node"] for story in json.loads(run("history", "--json", "--last", "1"))] != ["m1"]


@pytest.mark.parametrize(
    ("by", "names"),
    [("use", ["celery"]), ("day", ["2026-11-22"]), ("nodearray", ["all"]), ("vm_size", ["small"])],
)
def test_cost_is_added_up_by_what_is_asked_for(read: World, by: str, names: list[str]) -> None:
    facts = stories.cost(7, by, NOON + timedelta(days=3))
    assert [row[by] for row in facts["rows"]] == names
    assert facts["total"] == pytest.approx(1.0)
    assert sum(row["share"] for row in facts["rows"]) == pytest.approx(1.0)
    assert "1.000 since 2026-11-19; 0% of it while nothing ran" in stories.cost_text(facts)


def test_a_price_that_nobody_gave_is_estimated_and_marked(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = {"state_file": "state.db", "currency": "EUR"}
    config = tmp_path / "autoscale.json"
    config.write_text(json.dumps({"provider": "machines", "prices": {}, "autoscaler": section}))
    monkeypatch.setenv("AUTOSCALER_CONFIG", str(config))
    world.control.settings = msgspec.structs.replace(
        world.control.settings, config={**world.control.settings.config, "prices": {}}
    )
    world.cloud.config = {**world.cloud.config, "prices": {}}
    world.queues.waiting["celery"] = 2
    world.make_pass()
    world.boot()
    for _ in range(2):
        world.make_pass()
        world.go_on(3600)
    facts = stories.cost(1, "use", world.now)
    assert facts["total"] > 0
    assert facts["is_estimated"]
    told = stories.cost_text(facts)
    assert f"~{facts['total']:.3f} EUR since" in told
    assert f"cost ~{facts['total']:.3f} so far, at ~" in run("why", "m1")


def test_a_price_that_was_given_is_not_marked(read: World) -> None:
    assert "~" not in run("why", "m1")
    assert "~" not in stories.cost_text(stories.cost(7, "use", NOON + timedelta(days=3)))


def test_what_is_longer_ago_is_left_out_of_the_cost(read: World) -> None:
    assert stories.cost(3, "use", NOON + timedelta(days=3))["rows"] == []
    assert json.loads(run("cost", "--json", "--days", "1"))["by"] == "use"


def test_a_state_file_that_is_not_there_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "autoscale.json"
    config.write_text(
        json.dumps(
            {
                "url": "http://127.0.0.1:1",
                "username": "a",
                "cluster_name": "c",
                "autoscaler": {"state_file": "none.db"},
            }
        )
    )
    monkeypatch.setenv("AUTOSCALER_CONFIG", str(config))
    assert "no node is known yet" in run("history")
    assert "nothing since" in run("cost")
    assert not (tmp_path / "none.db").exists()


def test_every_reason_to_stay_is_in_the_docs() -> None:
    text = DOCS.read_text()
    missing = [r.value for r in KeepReason if f"| `{r.value}` | {stories.STAYS[r]} |" not in text]
    assert missing == []


def test_what_was_spent_while_nothing_ran_is_told_whatever_it_went_on(read: World) -> None:
    before = stories.cost(7, "use", NOON)["not_at_work"]
    spent = [
        Spent(day="2026-11-22", nodearray="all", vm_size="small", use=use, seconds=60.0, money=1.0)
        for use in (IDLE, BOOTING, UNHEARD, "celery")
    ]
    read.control.stories.write([], spent, NOON, kept=timedelta(days=30))
    assert stories.cost(7, "use", NOON)["not_at_work"] - before == pytest.approx(3.0)
