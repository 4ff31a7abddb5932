"""Who does not answer is asked aside, and waited for again as soon as anything is heard of it."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from celery import Celery

from autoscaler_app.listening.activity import HostView, WorkerView
from autoscaler_app.listening.reluctant import Reluctant
from autoscaler_app.listening.workers import BrokersWorkers
from tests.unit.autoscaler_app.world import NOON, Host, Hosts


def asked(reluctant: Reluctant, hosts: Hosts, *names: str, now: datetime = NOON) -> list[str]:
    """Who answered in time."""
    return sorted(reluctant.ask(hosts, "resources", names, {}, lambda answers: None, now))


def test_one_that_does_not_answer_is_waited_for_once_and_asked_all_the_same() -> None:
    mute, hosts, reluctant = Host("n1", is_mute=True), Hosts(), Reluctant()
    hosts.of = {"n1": mute, "n2": Host("n2")}
    for _ in range(3):
        assert asked(reluctant, hosts, "celery@n1", "celery@n2") == ["celery@n2"]
    assert hosts.asked == [["celery@n1", "celery@n2"], ["celery@n2"], ["celery@n2"]]
    assert hosts.aside == [["celery@n1"]] * 2
    mute.is_mute = False
    asked(reluctant, hosts, "celery@n1")
    assert asked(reluctant, hosts, "celery@n1") == ["celery@n1"], "it has answered"


def test_one_that_tells_something_of_its_own_accord_is_waited_for_again() -> None:
    hosts, reluctant = Hosts(), Reluctant()
    asked(reluctant, hosts, "celery@n1")

    def tells(told: datetime | None) -> None:
        worker = WorkerView(
            nodename="celery@n1", pid=1, heard=NOON, told=told, fenced=False, fence_reason="", offline=False,
            scheduled=0, pace=0.0,
        )  # fmt: skip
        reluctant.have_told([HostView(hostname="n1", workers=(worker,))])

    for told in (None, NOON - timedelta(seconds=1)):
        tells(told)
        assert reluctant.who(["celery@n1"]) == {"celery@n1"}
    tells(NOON)
    assert reluctant.who(["celery@n1"]) == frozenset()


def test_very_many_are_tried_anew() -> None:
    reluctant = Reluctant()
    asked(reluctant, Hosts(), *(f"celery@n{i}" for i in range(10_001)))
    asked(reluctant, Hosts(), "celery@other")
    assert reluctant.who(["celery@n1", "celery@other"]) == {"celery@other"}


def test_aside_one_command_does_not_wait_for_another_and_none_is_sent_twice_at_once() -> None:
    """A worker that is slow to say what it has is to be fenced all the same."""
    going, sent = threading.Event(), []

    class Slow(BrokersWorkers):
        def ask(
            self, command: str, nodenames: Collection[str] | None, arguments: Mapping[str, Any] | None = None
        ) -> dict[str, Any]:
            sent.append(command)
            assert going.wait(10)
            return {}

    workers, done = Slow(Celery(), 1.0), threading.Semaphore(0)
    for command in ("resources", "fence", "resources"):
        workers.ask_aside(command, ["celery@n1"], {}, lambda answers: done.release())
    going.set()
    assert all(done.acquire(timeout=10) for _ in range(2))
    assert sorted(sent) == ["fence", "resources"]
