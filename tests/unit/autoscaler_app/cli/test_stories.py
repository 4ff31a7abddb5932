"""`why`, `history` and `cost` as a person and as a script read them, from the state file alone."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from autoscaler_app.cli import stories
from autoscaler_app.cli.group import autoscaler
from autoscaler_app.memory.stories.book import TABLES, StoryBook
from autoscaler_app.memory.stories.story import BOOTING, IDLE, UNHEARD, Spent
from autoscaler_app.passes.plan import KeepReason
from scalelib.sqlitefile import SharedFile, Tables
from tests.unit.autoscaler_app.world import NOON, World

DOCS = Path(__file__).parents[4] / "docs" / "runbook.md"


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


def test_why_tells_of_a_pass_what_it_saw_anew_and_what_came_of_it(read: World) -> None:
    read.queues.waiting["celery"] = 7
    made = read.make_pass()
    told = run("why", str(made.number))
    assert told.startswith(f"pass {made.number}: waiting 7; ")
    assert "changed  celery: waiting 2 → 7" in told
    assert "launch   1 x all/large" in told
    assert "done   launch    1 x all/large" in told
    facts = json.loads(run("why", str(made.number), "--json"))
    assert facts["report"]["number"] == made.number
    assert facts["changed"] == [
        "celery: waiting 2 → 7", "m2 is there: Preparing", "price per hour 0.000 → 1.000",
    ]  # fmt: skip
    assert "changed  not known" in run("why", "1"), "there is none before it"


def test_a_pass_that_is_not_known_is_an_error_that_helps(read: World) -> None:
    done = CliRunner().invoke(autoscaler, ["why", "9999"])
    assert (done.exit_code, "`journal` lists the passes" in done.output) == (2, True)


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
    [
        ("use", ["celery"]),
        ("task", ["t"]),
        ("day", ["2026-11-22"]),
        ("nodearray", ["all"]),
        ("vm_size", ["small"]),
    ],
)
def test_cost_is_added_up_by_what_is_asked_for(read: World, by: str, names: list[str]) -> None:
    facts = stories.cost(7, by, NOON + timedelta(days=3))
    assert [row[by] for row in facts["rows"]] == names
    assert facts["total"] == pytest.approx(1.0)
    assert sum(row["share"] for row in facts["rows"]) == pytest.approx(1.0)
    assert "1.000 since 2026-11-19; 0% of it while nothing ran" in stories.cost_text(facts)


def spend(world: World, *spent: tuple[str, str, str, float]) -> None:
    """Day, use, task and money of each."""
    told = [
        Spent(day=day, nodearray="all", vm_size="small", use=use, task=task, seconds=3600.0, money=money)
        for day, use, task, money in spent
    ]
    world.control.stories.write([], told, NOON, kept=timedelta(days=30))


def test_the_dearest_comes_first_and_of_equals_the_first_by_name(read: World) -> None:
    spend(
        read,
        ("2026-11-22", "q1", "mix", 2.0),
        ("2026-11-22", "q2", "draw", 3.0),
        ("2026-11-22", "q2", "blur", 2.0),
        ("2026-11-22", IDLE, "", 9.0),
        ("2026-11-22", "q3", "", 0.5),
    )
    by_task = stories.cost(7, "task", NOON)
    assert [(row["task"], row["money"]) for row in by_task["rows"]] == [
        (IDLE, 9.0),
        ("draw", 3.0),
        ("blur", 2.0),
        ("mix", 2.0),
        ("t", pytest.approx(1.0)),
        (stories.UNNAMED, 0.5),
    ]
    by_queue = stories.cost(7, "use", NOON)
    assert [row["use"] for row in by_queue["rows"]] == [IDLE, "q2", "q1", "celery", "q3"]
    assert by_queue["total"] == by_task["total"], "each cent once, whatever it is added up by"
    assert by_queue["not_at_work"] == by_task["not_at_work"] == 9.0


def test_days_come_in_their_order_whatever_they_cost(read: World) -> None:
    spend(read, ("2026-11-20", "q", "", 1.0), ("2026-11-21", "q", "", 50.0), ("2026-11-19", "q", "", 7.0))
    rows = stories.cost(7, "day", NOON)["rows"]
    assert [row["day"] for row in rows] == ["2026-11-19", "2026-11-20", "2026-11-21", "2026-11-22"]


def test_names_of_tasks_without_end_are_told_as_one(read: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autoscaler_app.memory.stories.book.MOST_TASKS", 3)
    for each in ("a", "b", "c", "a"):
        spend(read, ("2026-11-23", "q", each, 1.0))
    spend(read, ("2026-11-24", "q", "d", 1.0))
    told = {row["task"]: row["money"] for row in stories.cost(1, "task", NOON + timedelta(days=1))["rows"]}
    assert told == {"a": 2.0, "b": 1.0, "c": 1.0, "d": 1.0}, "so many a day, and each day anew"
    spend(read, ("2026-11-23", "q", "e", 1.0), ("2026-11-23", "q", "f", 1.0))
    told = {row["task"]: row["money"] for row in stories.cost(1, "task", NOON + timedelta(days=1))["rows"]}
    assert told == {"a": 2.0, "b": 1.0, "c": 1.0, "d": 1.0, "(others)": 2.0}


def test_what_an_earlier_version_has_spent_is_kept(tmp_path: Path) -> None:
    first = Tables(name=TABLES.name, steps=TABLES.steps[:1])
    with closing(SharedFile(tmp_path / "state.db", first)) as file, file.transaction() as db:
        db.execute("INSERT INTO spent VALUES ('2026-11-22', 'all', 'small', 'celery', 60.0, 1.5)")
    with closing(StoryBook(tmp_path / "state.db")) as book:
        (spent,) = book.spent("2026-11-22")
    assert (spent.use, spent.task, spent.money) == ("celery", "", 1.5)


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
    lines = run("status").splitlines()
    assert any(line.startswith("~") and line.endswith(" EUR per hour") for line in lines), lines


def test_a_price_that_was_given_is_not_marked(read: World) -> None:
    assert "~" not in run("why", "m1")
    read.make_pass()
    assert "\n1.000 per hour" in run("status")
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
