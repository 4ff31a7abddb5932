"""`queues`: what waits and runs, what for, and when it will start; from the state file alone."""

from __future__ import annotations

import json

import msgspec
import pytest
from click.testing import CliRunner, Result

from autoscaler_app.cli.group import autoscaler
from autoscaler_app.cli.seeing.queues import QueueNow, Queues, starts
from autoscaler_app.memory.runtimes import Runtimes
from tests.unit.autoscaler_app.world import World


def run(*words: str) -> Result:
    return CliRunner().invoke(autoscaler, ["queues", *words])


def first(*words: str) -> QueueNow:
    found = msgspec.json.decode(run(*words, "--json").output, type=Queues)
    return found.queues[0]


def test_from_the_first_task_on_it_is_said_when_it_will_start(seen: World) -> None:
    runtimes = Runtimes()
    runtimes.add("celery", 30.0, seen.now)
    seen.control.state.change("runtimes", lambda _: runtimes.to_json())
    seen.control.state.change("boot_seconds", lambda _: 120.0)
    seen.queues.waiting["celery"] = 8
    seen.make_pass()
    asked = first()
    assert (asked.waiting, asked.waits_for) == (8, {"launch": 8})
    assert (asked.run_seconds, asked.next_seconds) == (30.0, 120.0), "as long as a node boots"
    assert asked.last_seconds == asked.done_seconds - 30.0  # type: ignore[operator]
    assert starts(asked) == "in 2.0 min"
    seen.boot()
    seen.make_pass()
    there = first()
    assert (there.next_seconds, starts(there), there.waits_for) == (0.0, "now", {"room": 8})


def test_the_table_says_what_it_waits_for_and_which_pass_saw_it(seen: World) -> None:
    seen.queues.waiting["celery"] = 2
    seen.make_pass()
    seen.go_on(90)
    lines = run().output.splitlines()
    assert lines[0] == "as pass 1 saw it, 90 s ago"
    assert lines[2].split()[:5] == ["QUEUE", "WAITING", "RUNNING", "HELD", "OLDEST"]
    assert lines[3].split() == ["celery", "2", "0", "0", "unknown", "launch", "2"]


def test_empty_queues_are_counted_and_told_of_when_asked_for(seen: World) -> None:
    seen.make_pass()
    assert "nothing waits or runs\n\n1 queue in which nothing waits or runs (--all)" in run().output
    assert run("--all").output.splitlines()[-1].split()[0] == "celery"
    assert first().is_empty, "scripts get all of them"


def test_a_failed_pass_leaves_what_was_seen_before(seen: World) -> None:
    seen.queues.waiting["celery"] = 2
    seen.make_pass()
    made = seen.control.state.journal
    made.write(seen.now, b'{"started":"2026-11-22T12:00:00Z","ok":false,"error":"the cloud is away"}')
    assert run().output.startswith("as pass 1 saw it")


def test_those_that_are_named_are_shown_and_what_was_meant_by_a_name_is_told(
    seen: World,
) -> None:
    seen.make_pass()
    assert "celery" in run("celery").output, "also when nothing is in it"
    done = run("celri")
    assert (done.exit_code, "did you mean celery?" in done.output) == (2, True), done.output


def test_before_the_first_pass_that_is_said(seen: World) -> None:
    assert "no pass has seen the cluster lately" in run().output
    assert json.loads(run("--json").output)["queues"] == []


@pytest.mark.parametrize(
    ("waiting", "seconds", "said"),
    [(0, None, ""), (1, None, "unknown"), (1, 0.4, "now"), (1, 47.0, "in 47 s")],
)
def test_when_it_starts_is_said_in_words(waiting: int, seconds: float | None, said: str) -> None:
    queue = QueueNow(
        queue="q",
        waiting=waiting,
        running=0,
        held=0,
        oldest_seconds=None,
        run_seconds=None,
        next_seconds=seconds,
        last_seconds=None,
        done_seconds=None,
        waits_for={},
    )
    assert starts(queue) == said
