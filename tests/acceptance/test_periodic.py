"""A node is ready when a periodic task is sent, on a cluster that was empty before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from pytest_celery import CeleryTestSetup

from autoscaler_app.passes.report import Report
from demo.site import Site
from tests.acceptance.test_main_job import QUICK_TO_NOTICE

WaitUntil = Callable[..., object]
APP = "tests.acceptance.periodic_app"
FORESEES = replace(
    QUICK_TO_NOTICE,
    autoscaler={**QUICK_TO_NOTICE.autoscaler, "beat_schedule_app": APP, "eta_margin": 7.0},
)


def launches(site: Site) -> list[Report]:
    """The passes that asked for nodes, oldest first."""
    return [made for made in reversed(site.reports()) if any(act.kind == "launch" for act in made.actions)]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("wishes", [FORESEES])
def test_an_interval_finds_its_node_ready_from_the_second_time_on(
    celery_setup: CeleryTestSetup, site: Site, wait_until: WaitUntil
) -> None:
    """The first task is a surprise, and its node goes again. For the next one a node is asked for before."""
    site.start_beat()
    site.run_module("their-beat", "celery", "-A", APP, "beat", "-s", str(site.folder / "theirs"))
    wait_until(lambda: len(site.finished()) == 1, seconds=90, what="the first task has run")
    wait_until(lambda: not site.nodes(), seconds=60, what="its node is gone")
    (surprised,) = launches(site)
    assert surprised.saw is not None
    assert sum(queue.waiting for queue in surprised.saw.queues) == 1

    wait_until(lambda: len(launches(site)) == 2, seconds=60, what="a node for the second one")
    foresaw = launches(site)[1]
    assert foresaw.saw is not None
    assert sum(queue.waiting + queue.running for queue in foresaw.saw.queues) == 0, "before it was sent"
    wait_until(lambda: len(site.finished()) == 2, seconds=60, what="the second task has run")
    assert len(launches(site)) == 2, "that node was enough"
