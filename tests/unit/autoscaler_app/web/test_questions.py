"""The questions of an operator: each is answered by one command and by one place on the page.

What is answered is what real passes saw and wrote down; what is told must be the same in both places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import httpx
import pytest
from celery import Celery
from click.testing import CliRunner

from autoscaler_app.cli import explaining, group, process
from autoscaler_app.cli.group import autoscaler
from autoscaler_app.cli.seeing import supposing
from autoscaler_app.passes.control import Control
from autoscaler_app.passes.journal import Journal
from autoscaler_app.passes.one_pass import make_pass
from autoscaler_app.web.hands.deeds import Said
from autoscaler_app.web.remembered import StateFile
from tests.unit.autoscaler_app.web.conftest import Page
from tests.unit.autoscaler_app.world import World
from tests.unit.autoscaler_app.world import world as passed  # noqa: F401


class Question(NamedTuple):
    """What is asked, the command that answers it, the page, and what both have to say."""

    asked: str
    command: str
    address: str
    says: tuple[str, ...]


HUGE = "res:ncpus=64"
QUESTIONS = (
    Question("is anything wrong?", "status --check", "/", (f"WARNING: unserved: 1 of {HUGE} (never-fits)",)),
    Question("what waits?", "status", "/", ("celery", "6", HUGE)),
    Question("why does this task wait?", "explain celery-1", "/find?q=celery-1", ("waits behind 3 others",)),
    Question("why does this queue wait?", "explain --queue celery", "/queue?name=celery", ("6 wait for m2",)),
    Question("when does it begin?", "explain --queue celery", "/queue?name=celery", ("60 s to boot",)),
    Question("which limit binds?", f"explain --queue {HUGE}", "/", ("the nearest one fails at ncpus 64",)),
    Question("why is this node still here?", "why m2", "/node?name=m2", ("booting: it boots (6 x celery)",)),
    Question("why did that node go?", "why m1", "/node?name=m1", ("not by us: it was Ready when it",)),
    Question("who launched it, for what?", "why m1", "/node?name=host-m1", ("launched", "for 2 x celery")),
    Question("what did it do?", "history", "/nodes", ("m1", "98%", "1.017")),
    Question("who asked for this pass?", "journal", "/pass?number=5", ("run",)),
    Question("what did it do, and why?", "journal", "/pass?number=4", ("launch 1",)),
    Question("what changed?", "journal", "/pass?number=4", ("nodes 0", "waiting 7")),
    Question("what if 9 waited?", "whatif celery=9", "/whatif?queue=celery&count=9", ("then 1 node",)),
    Question("what was spent, on what?", "cost --days 1", "/money?days=1", ("celery", "since 2026-11-22")),
    Question("how much while nothing ran?", "cost --days 1", "/money?days=1", ("while nothing ran",)),
    Question("what does it cost now?", "status", "/", ("3.000", "per hour")),
)


@pytest.fixture
def cluster(
    passed: World,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    """One node has come, worked for an hour and gone by itself; others boot, and one task fits nowhere."""
    world = passed
    config = tmp_path / "autoscale.json"
    config.write_text('{"provider": "machines", "prices": {}, "autoscaler": {"state_file": "state.db"}}')
    monkeypatch.setenv("AUTOSCALER_CONFIG", str(config))

    @contextmanager
    def opened(ctx: object, *, look: bool = True) -> Iterator[Control]:
        yield world.control

    for module in (explaining, supposing, group):
        monkeypatch.setattr(module, "opened", opened)
    monkeypatch.setattr(process, "look", lambda: None)
    monkeypatch.setattr(group, "datetime", SimpleNamespace(now=lambda zone: world.now))
    monkeypatch.setattr(Journal, "now", staticmethod(lambda: world.now))
    world.queues.waiting["celery"] = 2
    world.make_pass()
    world.go_on(60)
    (host,) = world.boot()
    world.queues.waiting["celery"] = 0
    host.running = ["one"]
    world.make_pass()
    world.go_on(3600)
    world.make_pass()
    world.cloud.machines.clear()
    world.hosts.of.clear()
    world.control.state.kinds.announce({HUGE: {"constraints": {"ncpus": 64}}}, world.now)
    world.queues.waiting |= {"celery": 6, HUGE: 1}
    world.go_on(60)
    world.make_pass()
    world.go_on(10)
    make_pass(world.control, asked_by="run")
    world.go_on(1)
    world.control.state.set_fact("boot_seconds", 60.0)
    return world


@pytest.fixture
def site(cluster: World, opened: Callable[..., httpx.Client]) -> httpx.Client:
    control = cluster.control

    def run(words: Sequence[str], who: str) -> Said:
        return Said(True, ask(cluster, *words[4:]))

    return opened(
        reports=control.reports,
        now=lambda: cluster.now,
        remembered=StateFile(lambda task_id: explaining.of_task(control, task_id), run),
    )


def ask(cluster: World, *words: str) -> str:
    with Celery("test", broker="memory://", set_as_current=False) as app:
        done = CliRunner().invoke(autoscaler, words, obj=SimpleNamespace(app=app))
    assert done.exit_code in (0, 1), done.output
    return done.output


def seen(document: str) -> str:
    """What a person reads: the text of the main part and the badge."""
    page = Page(document)
    return " ".join(text for texts in page.texts.values() for text in texts)


def test_each_question_has_one_command_and_one_place(cluster: World, site: httpx.Client) -> None:
    assert len(QUESTIONS) >= 15
    unanswered = []
    for question in QUESTIONS:
        told = ask(cluster, *question.command.split())
        answer = site.get(question.address)
        assert answer.status_code == 200, question
        shown = seen(answer.text)
        unanswered += [
            (question.asked, where, says)
            for where, text in (("command", told), ("page", shown))
            for says in question.says
            if says not in text
        ]
    assert unanswered == []
