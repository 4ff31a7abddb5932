"""Two worker processes of one node name on one machine: a unit and one by hand, or a restart beside its
predecessor that finishes its work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from autoscaler_app.listening.activity import Activity, HostView
from autoscaler_app.listening.ask import ask
from autoscaler_app.listening.listener import Listener
from tests.labs import Lab, make_lab

__all__ = ["make_lab"]


@pytest.fixture
def heard(make_lab: Callable[..., Lab], valkey_url: str) -> Iterator[tuple[Lab, Activity]]:
    """A lab, and what a control side hears of it."""
    lab, activity = make_lab(valkey_url), Activity()
    listener = Listener(lab.app, activity)
    listener.start()
    lab.wait_until(lambda: listener.connected_since, what="it listens")
    yield lab, activity
    listener.stop()


def test_the_busy_one_is_never_idle_for_what_the_idle_one_says(heard: tuple[Lab, Activity]) -> None:
    lab, activity = heard
    busy = lab.node("n1").wait_ready()
    busy.join("one")
    task = lab.send("one", "work", 600)
    lab.wait_until(lambda: (host := activity.host("n1")) and host.running, what="it is at work")
    busy.log = busy.log.rename(busy.log.with_name("busy.log"))
    idle = lab.node("n1").wait_ready()

    def both() -> HostView | None:
        host = activity.host("n1")
        return host if host and any(worker.at_once for worker in host.workers) else None

    # Each asked by name, and both answer: whatever comes in which order, it stays unknown.
    for _ in range(3):
        for said in ask(lab.app, "resources", [busy.nodename], timeout=0.5).values():
            activity.merge(said, datetime.now(UTC))
        host: Any = activity.host("n1")
        assert host.told is None, "nothing is known of it"
        assert {each.id for each in host.running} == {task.id}
    host = lab.wait_until(both, what="both have spoken, and it is seen that they are two")
    assert {worker.pid for worker in host.workers} == {busy.process.pid, idle.process.pid}
    assert not host.fenced

    idle.kill()

    def one() -> HostView | None:
        pids = {"pids": [busy.process.pid, idle.process.pid]}
        for said in ask(lab.app, "resources", [busy.nodename], pids, timeout=0.5).values():
            activity.merge(said, datetime.now(UTC))
        host = activity.host("n1")
        return host if host and host.told else None

    host = lab.wait_until(one, what="the other has ended, and this one is known again")
    assert [worker.pid for worker in host.workers] == [busy.process.pid]
    assert {each.id for each in host.running} == {task.id}
