"""A stolen password of a node: enough to end another's machine under its task, and with signing it is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery
from pytest_celery import CeleryTestSetup

from demo.site import Site, Wishes

Send = Callable[..., list[str]]
WaitUntil = Callable[..., Any]

BUSY = 45.0
"""Seconds that the task of the attacked node takes."""


def wishes_of(signing: bool) -> Wishes:
    return Wishes(
        interval=1.0,
        idle_timeout=3.0,
        boot_seconds=1.0,
        terminate_seconds=0.2,
        autoscaler={"signing": signing, "join_timeout": 6.0 if signing else 180.0},
    )


def attacked_node(site: Site, send: Send, wait_until: WaitUntil) -> tuple[str, str]:
    """A node that runs one long task, and is attacked. Its host name, and the task."""
    [task] = send(1, "alone", str(BUSY))
    wait_until(lambda: [run for run in site.runs() if run.id == task], seconds=60, what="the task runs")
    [run] = site.runs()
    if site.wishes.autoscaler["signing"]:
        # Until then a second key would be taken for a quarrel about whose the node is.
        wait_until(lambda: run.host in site.bound_hosts(settled=6.0), seconds=30, what="its key is settled")
    site.run_module("attack", "tests.acceptance.attack", site.broker_url, f"celery@{run.host}")
    site.processes["attack"].wait_for_line("at it")
    return run.host, task


@pytest.mark.timeout(170)
@pytest.mark.parametrize("broker", ["redis_url", "amqp_url"], indirect=True, ids=["redis", "rabbitmq"])
@pytest.mark.parametrize("wishes", [wishes_of(signing=False)], ids=["unsigned"])
def test_without_signing_a_password_of_a_node_ends_the_machine_of_another(
    celery_setup: CeleryTestSetup, site: Site, send: Send, wait_until: WaitUntil
) -> None:
    """Written down in docs/signing.md; who does not want that turns signing on."""
    site.start_beat()
    host, task = attacked_node(site, send, wait_until)
    wait_until(
        lambda: not [node for node in site.nodes() if node.get("Hostname") == host],
        seconds=BUSY - 10,
        what="the busy node is deleted",
    )
    assert site.finished()[task] == 0, "under its running task"


@pytest.mark.timeout(170)
@pytest.mark.parametrize("broker", ["redis_url", "amqp_url"], indirect=True, ids=["redis", "rabbitmq"])
@pytest.mark.parametrize("wishes", [wishes_of(signing=True)], ids=["signed"])
def test_with_signing_it_does_not(
    celery_setup: CeleryTestSetup, site: Site, send: Send, wait_until: WaitUntil
) -> None:
    site.start_beat()
    host, task = attacked_node(site, send, wait_until)
    with Celery(broker=site.broker_url, set_as_current=False) as thief:
        [answer] = thief.control.shutdown(reply=True, timeout=10, limit=1, destination=[f"celery@{host}"])
        assert "only for its control side" in str(answer)
    began = len(site.reports())
    wait_until(lambda: site.finished()[task], seconds=BUSY + 30, what="the task has ended")

    while_attacked = site.reports()[: len(site.reports()) - began]
    told = [
        warning
        for made in while_attacked
        for warning in made.saw.warnings
        if warning.startswith(host.lower())
    ]
    assert len(while_attacked) > 5
    assert any("not believed" in warning for warning in told), told
    assert Counter(run.id for run in site.runs()) == Counter([task]), "it ran once"
    # Without demand the node goes, and by its own word.
    wait_until(lambda: not site.nodes(), seconds=60, what="the node is drained as ever")
    done = [action for made in site.reports() for action in made.actions if action.target == host]
    assert [action.kind for action in done if action.ok].count("fence") == 1
    assert site.left_behind() == []
