"""Real nodes say what they have, and what none of them has is told apart from it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from autoscaler_app.brokers import open_broker
from autoscaler_app.listening.workers import BrokersWorkers
from autoscaler_app.passes.observe.asking import find_strays
from autoscaler_app.passes.observe.strays import Strays, StrayWatch
from tests.contract.brokers.test_real_nodes import QUEUE, Site

WaitUntil = Callable[..., Any]
AFTER = 1.0


@pytest.fixture
def site(lone_url: str, tmp_path: Path, wait_until: WaitUntil) -> Iterator[Site]:
    """Nodes on a server of their own."""
    site = Site(lone_url, tmp_path, wait_until)
    yield site
    site.close()


@pytest.fixture
def lost(site: Site) -> Iterator[str]:
    """A task whose message was taken and that nobody has."""
    task = str(site.app.send_task("nodes.until", ("x",), queue="lost", constraints={"ncpus": 1}).id)
    with site.app.connection_for_read() as connection:
        assert site.app.amqp.queues["lost"](connection.default_channel).get() is not None
        yield task


def look(site: Site, watch: StrayWatch) -> Strays:
    control: Any = SimpleNamespace(
        workers=BrokersWorkers(site.app, 1.0),
        activity=site.activity,
        listener=site.listener,
        broker=open_broker(site.app),
        strays=watch,
        nodename="control@here",
        now=lambda: datetime.now(UTC),
        state=SimpleNamespace(fact=lambda name: None),
        own_tasks=tuple,
    )
    return find_strays(control, site.activity.hosts(), [])


def test_what_runs_is_held_or_waits_for_its_time_is_never_lost(
    site: Site, lost: str, wait_until: WaitUntil
) -> None:
    site.listen()
    site.node("n1")
    site.host("n1", lambda host: host.told)
    done = site.folder / "done"
    for_later = [site.send(done, countdown=300) for _ in range(2)]
    site.host("n1", lambda host: host.scheduled == 2)
    for _ in range(3):  # two run, one waits or is held
        site.send(done)
    site.host("n1", lambda host: len(host.running) == 2 and host.scheduled == 2)
    watch = StrayWatch(AFTER)

    tags: Any = wait_until(lambda: look(site, watch).tags, seconds=60)

    broker = open_broker(site.app)
    assert set(broker.task_ids(tags).values()) == {lost}
    assert broker.give_back(tags) == 1
    assert broker.depths(["lost"])["lost"].waiting == 1
    assert set(for_later) <= set(broker.task_ids(broker.unacked_tags()).values())


def test_a_node_that_is_frozen_is_waited_for(site: Site, lost: str, wait_until: WaitUntil) -> None:
    site.listen()
    node = site.node("n1")
    site.host("n1", lambda host: host.told)
    os.kill(node.pid, signal.SIGSTOP)
    watch = StrayWatch(AFTER)
    found: list[Strays] = []

    def warned_often() -> bool:
        found.append(look(site, watch))
        return sum(bool(each.warnings) for each in found) > 5

    wait_until(warned_often, seconds=60, every=0.3)
    assert not any(each.tags for each in found)
    assert "celery@n1 did not answer" in found[-1].warnings[0]

    os.kill(node.pid, signal.SIGCONT)
    assert wait_until(lambda: look(site, watch).tags, seconds=60)


@pytest.mark.parametrize("words", [(), ("--without-heartbeat", "--without-mingle", "--without-gossip")])
def test_where_a_plain_worker_consumes_nothing_is_given_back(
    site: Site, lost: str, wait_until: WaitUntil, words: tuple[str, ...]
) -> None:
    site.listen()
    command = [sys.executable, "-m", "celery", "-A", "nodes", "worker", "-n", "plain@x", "-Q", QUEUE, *words]
    environment = {**os.environ, "BROKER": site.url, "EVENTS": "off", "PYTHONPATH": str(site.folder)}
    environment.pop("CELERY_RESOURCES", None)
    with (site.folder / "plain.log").open("ab") as log:
        site.processes.append(
            subprocess.Popen(
                [*command, "-c", "1"],
                cwd=site.folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        )
    broker = open_broker(site.app)
    wait_until(lambda: broker.consumers().count == 1, seconds=60, what="the plain worker consumes")
    watch = StrayWatch(AFTER)
    found: list[Strays] = []

    def warned_often() -> bool:
        found.append(look(site, watch))
        return sum(bool(each.warnings) for each in found) > 3

    wait_until(warned_often, seconds=60, every=0.3)
    assert not any(each.tags for each in found)
    assert "plain@x cannot say what it holds" in found[-1].warnings[0]
