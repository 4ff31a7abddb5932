"""A node's worker that is started anew beside its predecessor, which finishes its task in warm shutdown: two
real processes of one node name on one machine, real passes, and the machine is never ended under that task.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autoscaler_app import schedule
from autoscaler_app.listening.activity import Change
from autoscaler_app.listening.listener import Listener
from autoscaler_app.listening.notes import Notes
from autoscaler_app.passes.control import Control
from autoscaler_app.passes.one_pass import make_pass
from autoscaler_app.passes.plan import KeepReason
from autoscaler_app.passes.report import Report
from autoscaler_app.settings import Autoscaler, Settings
from autoscaler_app.worker.note_taker import NoteTaker
from cyclecloud_emulator.emulator import Emulator
from tests.labs import Lab, make_lab

__all__ = ["make_lab"]

IDLE = 1.0
"""Seconds after which a machine without work is ended."""


class Cluster:
    """A control side that hears, takes notes and makes passes, without a process of its own."""

    def __init__(self, lab: Lab, emulator: Emulator, folder: Path) -> None:
        config = {
            "url": emulator.url,
            "username": emulator.user,
            "password": emulator.password,
            "cluster_name": emulator.cluster,
            "idle_timeout": IDLE,
            "prices": {"Standard_F4s_v2": 0.1},
        }
        settings = Settings(config=config, autoscaler=Autoscaler(target_drain_time=60.0), folder=folder)
        self.lab = lab
        self.control = Control.open(lab.app, settings)
        self.listener = self.control.listener = Listener(lab.app, self.control.activity, self._ignore)
        notes = Notes(self.control.state, self.control.activity)
        self._taker = NoteTaker(
            lab.app, schedule.CONTROL_QUEUE, lambda bodies: notes.take(bodies, self.control.now())
        )
        self.listener.start()
        self._taker.start()
        lab.wait_until(lambda: self.listener.connected_since, what="it listens")

    @staticmethod
    def _ignore(change: Change) -> None: ...

    def nodes(self) -> list[str]:
        return [node.hostname or "" for node in self.control.provider.cloud().nodes]

    def passes_until(self, condition: Callable[[Report], Any], what: str) -> Report:
        def made() -> Report | None:
            report = make_pass(self.control)
            assert report.plan is not None, report.error
            return report if condition(report) else None

        found: Report = self.lab.wait_until(made, every=0.2, what=what)
        return found

    def close(self) -> None:
        self._taker.stop()
        self.control.close()


@pytest.fixture(params=["valkey_url", "amqp_url"], ids=["valkey", "rabbitmq"])
def cluster(
    request: pytest.FixtureRequest, make_lab: Callable[..., Lab], emulator: Emulator, tmp_path: Path
) -> Iterator[Cluster]:
    url = request.getfixturevalue(request.param)
    lab = make_lab(url, RESOURCE_APP_CONTROL=schedule.CONTROL_QUEUE)
    made = Cluster(lab, emulator, tmp_path)
    yield made
    made.close()


def is_kept(report: Report, *reasons: KeepReason) -> bool:
    """Whether the one node stays, for one of these reasons; and nothing at all is planned against it."""
    plan = report.plan
    assert plan is not None
    return (
        not (plan.fence or plan.delete or plan.launch)
        and not [action for action in report.actions if action.kind in ("fence", "shut-down", "delete")]
        and [entry.reason in reasons for entry in plan.keep] == [True]
    )


@pytest.mark.timeout(170)
def test_a_machine_is_never_ended_under_the_task_of_a_worker_that_another_was_started_beside(
    cluster: Cluster, tmp_path: Path
) -> None:
    lab, control, done = cluster.lab, cluster.control, tmp_path / "done"
    task = lab.send("one", "until", str(done))
    cluster.passes_until(lambda _: all(cluster.nodes()) and cluster.nodes(), what="its node has a name")
    [host] = cluster.nodes()
    old = lab.node(host).wait_ready()
    cluster.passes_until(lambda made: is_kept(made, KeepReason.RUNNING), what="it is seen at work")

    # A restart as an impatient person makes it: the old one is told to finish, the new one is there at once.
    old.process.terminate()
    lab.wait_until(lambda: "Warm shutdown" in old.text(), what="the old one finishes what it runs")
    old.log = old.log.rename(old.log.with_name("old.log"))
    new = lab.node(host).wait_ready()

    def both() -> bool:
        view = control.activity.host(host)
        return view is not None and {worker.pid for worker in view.workers} == {
            old.process.pid,
            new.process.pid,
        }

    reports: list[Report] = []
    cluster.passes_until(lambda made: reports.append(made) or both(), what="both are known")
    began = control.now()
    while len(reports) < 12 or (control.now() - began).total_seconds() < 5 * IDLE:
        reports.append(make_pass(control))
        assert old.process.poll() is None, "it is still at work"
    for made in reports:
        assert is_kept(made, KeepReason.RUNNING, KeepReason.UNKNOWN), made
    assert lab.finished() == {}

    done.touch()
    assert old.process.wait(40) == 0
    assert lab.wait_finished([task]) == {task.id: 1}
    # What is left is one worker like any other: it gets work, and its machine is ended when there is none.
    another = lab.send("one", "until", os.devnull)
    cluster.passes_until(lambda _: another.id in lab.finished(), what="the new one has run a task")
    assert {run["node"] for run in lab.runs()} == {new.nodename}
    cluster.passes_until(lambda _: not cluster.nodes(), what="the machine is ended")
    assert new.process.wait(20) == 0, "by its own word"
    deleted = [entry.reason.value for made in control.reports(200) if made.plan for entry in made.plan.delete]
    assert set(deleted) <= {"idle", "surplus"}
    assert lab.finished() == {task.id: 1, another.id: 1}, "each task ran once"
