"""An operator holds, drains and ends real nodes, and pauses passes meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from autoscaler_app.passes.plan import KeepReason
from demo.site import Site, Wishes
from tests.acceptance.test_bad_input import autoscaler

WaitUntil = Callable[..., Any]


@pytest.mark.timeout(280)
@pytest.mark.parametrize(
    "wishes", [Wishes(interval=0.5, idle_timeout=60.0, boot_seconds=0.5, most_nodes=1)], ids=[""]
)
def test_one_node_is_held_drained_let_go_on_and_ended(
    site: Site, send: Callable[..., list[str]], wait_until: WaitUntil
) -> None:
    site.start_control()
    site.start_beat()

    def say(*words: str, code: int = 0) -> str:
        done = autoscaler(*words, env={**site.env, "SUDO_USER": "ann"})
        assert done.returncode == code, done.stdout + done.stderr
        return str(done.stdout + done.stderr)

    def kept() -> KeepReason | None:
        made = site.reports(1)[0]
        return made.plan.keep[0].reason if made.plan and made.plan.keep else None

    def fenced() -> bool:
        made = site.reports(1)[0]
        return bool(made.saw and made.saw.nodes and made.saw.nodes[0].fenced)

    (first,) = send(1, "work", "0.1")
    wait_until(lambda: site.finished()[first], seconds=40)
    name = site.nodes()[0]["Name"]

    say("hold", name, "--for", "1h", "--why", "its disk")
    wait_until(lambda: fenced() and kept() is KeepReason.ON_HOLD, seconds=20)
    (second,) = send(1, "work", "600")
    assert "held by ann until" in say("why", name)
    say("unhold", name)
    wait_until(lambda: any(run.id == second for run in site.runs()), seconds=20)

    say("drain", name)
    wait_until(lambda: fenced() and kept() is KeepReason.DRAINING, seconds=20)
    assert "is not proven empty: its last tasks are still running" in say("delete", name, code=2)
    say("undrain", name)
    wait_until(lambda: not fenced() and kept() is not KeepReason.DRAINING, seconds=20)

    assert "paused: nothing is launched, fenced or ended (ann: enough)" in say("pause", "--why", "enough")
    assert second in say("delete", name, "--now", "--yes")
    wait_until(lambda: not site.nodes(), seconds=20)
    story = say("why", name)
    for told in ("on-hold: ann until", "the hold by ann is over", "by-hand: ann", "now: ann"):
        assert told in story, story
    made = site.reports(1)[0]
    assert made.plan is not None
    assert made.plan.launch == ()
