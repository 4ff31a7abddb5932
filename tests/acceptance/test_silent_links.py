"""A link that falls silent (nothing is reset, nothing comes) costs no busy node and no process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from pytest_celery import CeleryTestSetup

from demo.site import Site, Wishes
from tests.acceptance.test_main_job import seen_at_work
from tests.labs import Relay, relay_to

Send = Callable[..., list[str]]
WaitUntil = Callable[..., object]


@pytest.fixture
def relay(request: pytest.FixtureRequest, url: str) -> Iterator[Relay]:
    """The way to the broker of one side."""
    made = relay_to(str(request.getfixturevalue(url)))
    yield made
    made.close()


@pytest.fixture
def wishes(request: pytest.FixtureRequest, relay: Relay, url: str, side: str) -> Wishes:
    """Nodes that are silent are replaced before the silence ends, where it is not they who are silent."""
    nodes = str(request.getfixturevalue(url)) if side == "control" else relay.url
    return Wishes(
        interval=1.0,
        idle_timeout=3.0,
        boot_seconds=1.0,
        terminate_seconds=0.2,
        nodes={"environment": {"CELERY_BROKER_URL": nodes}},
        autoscaler={
            "told_within": 1.5,
            "silent_timeout": 6.0 if side == "control" else 90.0,
            "ask_timeout": 0.5,
        },
    )


@pytest.fixture
def broker(request: pytest.FixtureRequest, relay: Relay, url: str, side: str) -> str:
    return relay.url if side == "control" else str(request.getfixturevalue(url))


@pytest.mark.timeout(170)
@pytest.mark.parametrize("url", ["redis_url", "amqp_url"], ids=["redis", "rabbitmq"])
@pytest.mark.parametrize("side", ["control", "nodes"])
def test_a_silence_of_one_side_costs_no_task_no_busy_node_and_no_process(
    celery_setup: CeleryTestSetup, site: Site, relay: Relay, send: Send, wait_until: WaitUntil
) -> None:
    beat, control = site.start_beat(), site.processes["control"]
    ids = [*send(1, "wide", "14"), *send(1, "wide", "3")]
    wait_until(lambda: len(site.runs()) == 2, seconds=60, what="both have started")
    for run in site.runs():
        wait_until(lambda host=run.host: seen_at_work(site, host), what="a pass has seen it at work")
    relay.hold()
    wait_until(lambda: set(site.finished()) == set(ids), seconds=40, what="both ended in the silence")
    relay.release()
    more = send(1, "wide")
    wait_until(lambda: set(more) <= set(site.finished()), seconds=60, what="work goes on")
    wait_until(lambda: not site.nodes(), seconds=60, what="the last node is gone")

    assert Counter(run.id for run in site.runs()) == Counter([*ids, *more]), "each task ran exactly once"
    reasons = {entry.reason.value for made in site.reports() if made.plan for entry in made.plan.delete}
    assert reasons <= {"idle", "surplus"}, "nobody was taken for dead"
    assert (control.exit_code, beat.exit_code) == (None, None)
    assert site.left_behind() == []
