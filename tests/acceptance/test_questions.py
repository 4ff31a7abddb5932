"""On a live cluster each question of an operator is answered by one command and by one place on the page.

The same is asked of passes in process, in tests/unit/autoscaler_app/web/test_questions.py. Here everything is
a process: broker, emulated cloud, control worker, beat, nodes with their workers, the page, and each command.
"""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import httpx
import pytest

from autoscaler_app.passes.plan import KeepReason
from demo.site import ROOT, Site, Wishes
from tests.acceptance.test_bad_input import autoscaler

WaitUntil = Callable[..., Any]
PLAIN, WIDE, HUGE = "celery", "res:ncpus=4", "res:ncpus=64"

PAUSE = ("pause", "--growth", "--queue", PLAIN, "--why", "a customer")
SEND_HUGE = "from worker_tasks.tasks import small; small.apply_async((0.1,), constraints={'ncpus': 64})"

WISHES = Wishes(
    interval=1.0,
    idle_timeout=2.0,
    boot_seconds=1.0,
    terminate_seconds=0.2,
    most_nodes=1,
    autoscaler={"budget_per_day": 50.0, "currency": "EUR"},
)


class Cluster(NamedTuple):
    """What there is to ask of: names that only the cluster knows."""

    gone: str
    """A node that has done its work and went."""
    here: str
    """The one that works."""
    host: str
    task: str
    """Waits: there may be one node only, and it works."""
    grew: int
    """The pass that launched the first node."""


class Question(NamedTuple):
    """What is asked, the command, the page, and what both have to say (in patterns)."""

    asked: str
    command: str
    address: str
    says: tuple[str, ...]


def questions(c: Cluster) -> Iterator[Question]:
    """Those of an operator."""

    def ask(asked: str, command: str, address: str, *says: str) -> Question:
        return Question(asked, command, address, says)

    yield ask("is anything wrong?", "status --check", "/", r"WARNING: paused: nothing is launched for celery")
    yield ask("what waits, and runs?", "status", "/", PLAIN, WIDE, HUGE)
    yield ask("why does this task wait?", f"explain {c.task}", f"/find?q={c.task}", "waits")
    yield ask("why does this queue wait?", f"explain --queue {WIDE}", f"/queue?name={WIDE}", "unserved")
    yield ask("which limit binds?", f"explain --queue {WIDE}", "/", "cluster")
    yield ask("what fits nowhere?", f"explain --queue {HUGE}", "/", "never-fits|nearest one fails at ncpus")
    yield ask("why is this node still here?", f"why {c.here}", f"/node?name={c.here}", "running")
    yield ask("what is on this host?", f"why {c.host}", f"/find?q={c.host}", c.here)
    yield ask("why did that node go?", f"why {c.gone}", f"/node?name={c.gone}", "idle|surplus")
    yield ask("who launched it, for what?", f"why {c.gone}", f"/node?name={c.gone}", f"for 1 x {PLAIN}")
    yield ask("what did it do?", "history --last 50", "/nodes", c.gone, c.here)
    yield ask(
        "who asked for this pass?", "journal --last 200", f"/pass?number={c.grew}", "beat|new work|news"
    )
    yield ask("what did it do?", "journal --last 200", f"/pass?number={c.grew}", "launch 1")
    yield ask("what changed?", "journal --last 200", f"/pass?number={c.grew}", "waiting")
    yield ask("what if 9 waited?", f"whatif {PLAIN}=9", f"/whatif?queue={PLAIN}&count=9", "then 1 node")
    yield ask("what was spent, on what?", "cost --days 1", "/money?days=1", PLAIN, r"0\.0\d+|~?0\.00")
    yield ask("what may be spent?", "config", "/money?days=1", "50")
    yield ask("what does it cost now?", "status", "/", "per hour")
    yield ask("who did what by hand?", "status", "/", "ann", "a customer")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("wishes", [WISHES], ids=[""])
def test_each_question_has_one_command_and_one_place_on_the_page(
    site: Site, send: Callable[..., list[str]], wait_until: WaitUntil
) -> None:
    site.start_control()
    site.start_beat()
    page = site.run_module("page", "celery", "-A", "autoscaler_app", "autoscaler", "web", "--port", "0")
    page.wait_for_line("http://")
    url = next(word for word in page.log().split() if word.startswith("http://")).rstrip("/")

    def told(command: str) -> str:
        done = autoscaler(*command.split(), env={**site.env, "SUDO_USER": "ann"})
        assert done.returncode in (0, 1), f"{command}\n{done.stdout}{done.stderr}"
        return f"{done.stdout}{done.stderr}"

    def shown(address: str) -> str:
        with httpx.Client(base_url=url, trust_env=False, timeout=60, follow_redirects=True) as client:
            answer = client.get(address)
        assert answer.status_code == 200, f"{address}: {answer.status_code} {answer.text[:2000]}"
        return html.unescape(re.sub(r"<(script|style)>.*?</\1>|<[^>]+>", "", answer.text, flags=re.DOTALL))

    cluster = _lived(site, send, wait_until)
    asked = list(questions(cluster))
    assert len(asked) >= 15
    with ThreadPoolExecutor(2) as pool:
        answers = {each: pool.submit(told, each) for each in {q.command for q in asked}}
        pages = {each: pool.submit(shown, each) for each in {q.address for q in asked}}
    unanswered = [
        (question.asked, where, says, text[-1500:])
        for question in asked
        for where, of in (("command", answers[question.command]), ("page", pages[question.address]))
        for says in question.says
        if not re.search(says, text := of.result())
    ]
    assert unanswered == []


def _lived(site: Site, send: Callable[..., list[str]], wait_until: WaitUntil) -> Cluster:
    """A node came, worked and went; another works, one task waits behind it, one fits nowhere."""
    (first,) = send(1, "work", "0.1")
    wait_until(lambda: site.finished()[first], seconds=60, what="the first task has run")
    gone = site.nodes()[0]["Name"]
    wait_until(lambda: not site.nodes(), seconds=60, what="its node is gone")
    grew = next(r.number for r in reversed(site.reports()) if any(a.kind == "launch" for a in r.actions))
    (busy,) = send(1, "work", "600")
    wait_until(lambda: any(run.id == busy for run in site.runs()), seconds=60, what="the long task runs")
    here = site.nodes()[0]
    (task,) = send(1, "wide", "0.1")
    subprocess.run(
        [sys.executable, "-c", SEND_HUGE], env={**os.environ, **site.env}, cwd=ROOT, check=True, timeout=60
    )
    assert autoscaler(*PAUSE, env={**site.env, "SUDO_USER": "ann"}).returncode == 0

    def seen() -> bool:
        made = site.reports(1)[0]
        if made.plan is None or made.saw is None:
            return False
        unserved = {entry.job for entry in made.plan.unserved}
        at_work = [keep.node for keep in made.plan.keep if keep.reason is KeepReason.RUNNING]
        return {WIDE, HUGE} <= unserved and at_work == [here["Name"]]

    wait_until(seen, seconds=60, what="a pass has seen all of it")
    return Cluster(gone, here["Name"], here["Hostname"], task, grew)
