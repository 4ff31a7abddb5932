"""When passes are made: two beats, and a beat whose requests nobody took for long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from celery import Celery
from pytest_celery import CeleryTestSetup

from autoscaler_app.brokers import open_broker
from demo.site import Site
from tests.acceptance.test_main_job import QUICK_TO_NOTICE

Send = Callable[..., list[str]]
WaitUntil = Callable[..., object]
SENT = "Sending due task autoscale"


def requests_waiting(site: Site) -> int:
    app = Celery(broker=site.broker_url, set_as_current=False)
    try:
        return open_broker(app).depths(["autoscale"])["autoscale"].waiting
    finally:
        app.close()


@pytest.mark.timeout(170)
@pytest.mark.parametrize("wishes", [replace(QUICK_TO_NOTICE, interval=2.0)])
def test_two_beats_launch_once_and_do_not_double_the_passes(
    celery_setup: CeleryTestSetup, site: Site, send: Send, wait_until: WaitUntil
) -> None:
    """The second beat starts right after a request of the first: its requests come in between."""
    beats = [site.start_beat("beat")]
    wait_until(lambda: SENT in beats[0].log(), seconds=30)
    beats.append(site.start_beat("second-beat"))
    wait_until(lambda: SENT in beats[1].log(), seconds=30)
    ids = send(3, "wide", "1")
    wait_until(lambda: set(ids) <= set(site.finished()), seconds=90, what="every task has finished")
    wait_until(lambda: not site.nodes(), seconds=60, what="the last node is gone")

    assert Counter(run.id for run in site.runs()) == Counter(ids), "each task ran exactly once"
    launches = [launch for made in site.reports() if made.plan for launch in made.plan.launch]
    assert sum(sum(launch.jobs.values()) for launch in launches) == len(ids), "for each task a place, once"
    assert site.ledger()["nodes_created"] == sum(launch.count for launch in launches)

    # Nothing happens any more: what passes there are now, beats have asked for.
    quiet_from, sent = len(site.reports()), [beat.log().count(SENT) for beat in beats]

    def more() -> list[int]:
        """Requests of each beat since then."""
        return [beat.log().count(SENT) - before for beat, before in zip(beats, sent, strict=True)]

    wait_until(lambda: min(more()) >= 6, seconds=60, what="six more requests of each")
    passes, requests = len(site.reports()) - quiet_from, more()
    # A beat that was held up for a while has sent fewer than the other.
    # On a busy machine both come late, and one pass covers several.
    assert 3 <= passes <= max(requests) + 2, f"{passes} passes for {requests} requests of two beats"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("wishes", [replace(QUICK_TO_NOTICE, interval=0.4)])
@pytest.mark.parametrize("broker", ["", "amqp_url"], indirect=True, ids=["embedded", "rabbitmq"])
def test_requests_that_nobody_took_in_time_make_no_pass(site: Site, wait_until: WaitUntil) -> None:
    """Beat goes on while the control worker is down; when it is back, the old requests are not run."""
    beat = site.start_beat()
    wait_until(lambda: beat.log().count(SENT) >= 20, seconds=60, what="beat has sent for long")
    beat.stop()
    control = site.start_control()
    wait_until(lambda: requests_waiting(site) == 0, seconds=30, what="the queue is empty")
    assert len(site.reports()) <= 1
    assert control.log().count("succeeded in") <= 1

    site.start_beat("later-beat")
    wait_until(lambda: len(site.reports()) >= 3, seconds=30, what="passes are made again")
