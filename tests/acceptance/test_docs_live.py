"""The commands of the autoscaler that the docs show, each given once on a live cluster with names of its own.

Whether they are spelt right is tried without one, by tests/unit/test_docs_commands.py.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from typing import Any

import pytest

from demo.site import Site, Wishes
from tests.acceptance.test_bad_input import autoscaler
from tests.unit.test_docs_commands import shown

WISHES = Wishes(interval=1.0, boot_seconds=1.0, terminate_seconds=0.2, most_nodes=2)
ELSEWHERE = {
    "--help": "nothing is asked",
    "check": "test_adopt.py, with an app of one's own",
    "forget-key": "test_signing.py: there are keys where nodes sign",
    "init": "tests/contract/passes/test_init.py: it writes the settings of a new cluster",
    "replay": "test_replay.py, with a snapshot",
    "web": "test_questions.py: it serves until it is ended",
}
"""Commands that are not given here, and where they are."""
NAMED = ("drain",)
"""Shown without the node that it takes: named there, and not given."""
DEEDS = ("run", "try-again", "hold", "pause", "resume", "delete")
"""They come last, in this order: what is asked of the others is not to change before."""
NAMES = {"QUEUE": "celery", "res:memgb=6:ncpus=4": "celery", "gpu": "worker-spot", "86400": "1"}
"""What stands for a name that this cluster has not, or would take a day."""
OURS = re.compile(r"(?:celery -A autoscaler_app )?autoscaler(?: (.*))?")


def commands(node: str, trace: str) -> list[list[str]]:
    """Words after `autoscaler`, those that change nothing first."""
    found = set[tuple[str, ...]]()
    names = {**NAMES, **dict.fromkeys(("NODE", "worker-1", "worker-2"), node), "monday.jsonl": trace}
    for each in shown():
        if of_ours := OURS.fullmatch(each.text.strip()):
            words = tuple(names.get(word, word) for word in shlex.split(of_ours[1] or ""))
            if words and words != NAMED and words[0] not in ELSEWHERE:
                found.add(words)
    return sorted(
        map(list, found), key=lambda words: (words[0] in DEEDS and DEEDS.index(words[0]) + 1, words)
    )


@pytest.mark.timeout(300)
@pytest.mark.parametrize("wishes", [WISHES], ids=[""])
def test_each_command_of_the_docs_does_its_work_on_a_live_cluster(
    site: Site, send: Callable[..., list[str]], wait_until: Callable[..., Any]
) -> None:
    site.start_control()
    site.start_beat()
    send(1, "work", "600")
    wait_until(site.runs, seconds=60, what="a task runs")
    wait_until(lambda: is_seen(site), seconds=60, what="a pass has seen it run")
    (node,) = (each["Name"] for each in site.nodes())
    given = commands(node, str(site.folder / "monday.jsonl"))
    assert len(given) > 20
    for words in given:
        done = autoscaler(*words, env=site.env)
        said = done.stdout + done.stderr
        if words[0] == "delete":  # as the docs show it: the node is at work
            assert (done.returncode, "is not proven empty" in said) == (2, True), said
        else:  # 1: a question that was answered with no, or a warning
            assert done.returncode in (0, 1), f"{words}\n{said}"
            assert done.stdout.strip(), words
        assert "Traceback" not in said, words


def is_seen(site: Site) -> bool:
    saw = site.reports(1)[0].saw
    return saw is not None and any(node.running for node in saw.nodes)
