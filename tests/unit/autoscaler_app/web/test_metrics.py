"""The metrics: of the last pass, with no label that grows with the fleet's past."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse

from autoscaler_app.listening.shown import printable
from autoscaler_app.passes.plan import Price, Unserved
from autoscaler_app.passes.report import Action, Hearing, QueueSaw

DOCS = Path(__file__).parents[4] / "docs" / "web.md"


@pytest.fixture
def scrape(web: httpx.Client) -> Any:
    """Value by name and label values, as Prometheus reads them."""

    def read() -> dict[tuple[str, ...], float]:
        answer = web.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=")
        samples = [sample for family in parse(answer.text) for sample in family.samples]
        return {(sample.name, *sample.labels.values()): sample.value for sample in samples}

    return read


def test_before_the_first_pass_there_are_totals_and_no_sight(scrape: Any) -> None:
    values = scrape()
    assert values["autoscaler_passes_total",] == 0
    assert values["autoscaler_failed_passes_total",] == 0
    assert not [key for key in values if key[0].startswith(("autoscaler_queue", "autoscaler_nodes"))]
    assert ("autoscaler_last_pass_age_seconds",) not in values


def test_the_sight_of_the_last_pass(scrape: Any, world: Any, make: Any) -> None:
    queues = (
        QueueSaw(queue="render", waiting=7, running=2, held=1, oldest_seconds=90.0),
        QueueSaw(queue="mix", waiting=0, running=3),
    )
    nodes = (
        make.node("worker-1"),
        make.node("worker-2", fenced=True),
        make.node("worker-3", state="Preparation", vm_size="Standard_F8s_v2"),
    )
    world.write(make.report(1, saw=make.saw(queues=queues, nodes=nodes)))
    values = scrape()
    assert values["autoscaler_queue_waiting", "render"] == 7
    assert values["autoscaler_queue_running", "mix"] == 3
    assert values["autoscaler_queue_held", "render"] == 1
    assert values["autoscaler_queue_oldest_seconds", "render"] == 90
    assert ("autoscaler_queue_oldest_seconds", "mix") not in values, "unknown is not zero"
    assert values["autoscaler_running",] == 5
    assert values["autoscaler_nodes", "Ready", "Standard_F4s_v2"] == 2
    assert values["autoscaler_nodes", "Preparation", "Standard_F8s_v2"] == 1
    assert values["autoscaler_fenced_nodes",] == 1


def test_how_well_the_control_worker_hears(scrape: Any, world: Any, make: Any) -> None:
    heard = {"connected": True, "connections": 2, "lag_seconds": 0.25, "workers": 3, "coming": 0}
    lost = {"rejected": 1, "dropped": 2, "evicted": 3, "gaps": 4, "stale": 5}
    hearing = Hearing(**heard, events=99, **lost)
    world.write(make.report(1, saw=make.saw(hearing=hearing)))
    values = scrape()
    assert values["autoscaler_listening",] == 1
    assert values["autoscaler_listener_lag_seconds",] == 0.25
    assert values["autoscaler_events_total",] == 99
    assert {why: values["autoscaler_events_lost_total", why] for why in lost} == lost


def test_a_pass_of_a_command_heard_nothing_and_says_nothing_of_it(scrape: Any, world: Any, make: Any) -> None:
    world.write(make.report(1))
    assert not [key for key in scrape() if key[0].startswith(("autoscaler_listen", "autoscaler_events"))]


def test_the_decision_of_the_last_pass(scrape: Any, world: Any, make: Any) -> None:
    unserved = tuple(
        Unserved(job=job, count=count, reason=reason, detail="")
        for job, count, reason in (("a", 2, "never-fits"), ("b", 3, "never-fits"), ("c", 4, "new-reason"))
    )
    plan = make.plan(price_per_hour=Price(before=1.5, added=0.5), unserved=unserved)
    world.write(make.report(1, plan=plan))
    values = scrape()
    assert values["autoscaler_price_per_hour",] == 1.5
    assert values["autoscaler_price_per_hour_added",] == 0.5
    assert values["autoscaler_unserved", "never-fits"] == 5
    assert values["autoscaler_unserved", "new-reason"] == 4
    assert values["autoscaler_unserved", "bucket"] == 0, "so that an alert on it has a value to watch"
    assert values["autoscaler_planning_seconds",] == 0.01


def test_the_pass_itself(scrape: Any, world: Any, make: Any) -> None:
    world.write(make.report(41))
    values = scrape()
    assert values["autoscaler_passes_total",] == 41
    assert values["autoscaler_last_pass_age_seconds",] == 0.5
    assert values["autoscaler_last_pass_duration_seconds",] == 0.5
    assert values["autoscaler_last_pass_failed",] == 0
    assert values["autoscaler_paused",] == 0
    world.paused = True
    assert scrape()["autoscaler_paused",] == 1


def test_a_failed_pass_tells_no_sight_of_an_earlier_one(scrape: Any, world: Any, make: Any) -> None:
    world.write(make.report(1), make.failed(2))
    values = scrape()
    assert values["autoscaler_last_pass_failed",] == 1
    assert not [key for key in values if key[0].startswith(("autoscaler_queue", "autoscaler_nodes"))]


def test_failures_and_actions_are_counted_from_the_start_of_the_server_on(
    scrape: Any, world: Any, make: Any
) -> None:
    """Counting the journal anew at each start would make a restart look like a burst of failures."""
    world.write(make.failed(1), make.report(2))
    values = scrape()
    assert values["autoscaler_failed_passes_total",] == 0
    assert values["autoscaler_actions_total", "join", "true"] == 0
    launches = tuple(Action(kind="launch", target="F4", ok=ok) for ok in (True, False, False))
    world.write(make.failed(3), make.report(4, actions=launches), make.failed(5), make.report(6))
    for _ in range(2):
        values = scrape()
        assert values["autoscaler_failed_passes_total",] == 2
        assert values["autoscaler_actions_total", "launch", "true"] == 1
        assert values["autoscaler_actions_total", "launch", "false"] == 2
        assert values["autoscaler_actions_total", "join", "true"] == 1


def test_no_label_names_a_node_or_a_host(web: httpx.Client, world: Any, make: Any) -> None:
    world.write(make.report(1), make.report(2))
    text = web.get("/metrics").text
    assert "worker-1" not in text
    labels = {name for family in parse(text) for sample in family.samples for name in sample.labels}
    assert labels == {"queue", "state", "vm_size", "reason", "kind", "ok"}


def test_a_label_with_quotes_and_line_ends_is_read_back_as_it_is_shown(
    scrape: Any, world: Any, make: Any
) -> None:
    odd = 'a"b\\c\nd'
    world.write(make.report(1, saw=make.saw(queues=(QueueSaw(queue=odd, waiting=1, running=0),))))
    assert scrape()["autoscaler_queue_waiting", printable(odd)] == 1


def test_a_scraper_that_prefers_openmetrics_gets_it(web: httpx.Client, world: Any, make: Any) -> None:
    world.write(make.report(1))
    answer = web.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert {family.name for family in parse_open(answer.text)} >= {"autoscaler_passes", "autoscaler_nodes"}


def test_every_metric_and_its_labels_are_in_the_docs(web: httpx.Client, world: Any, make: Any) -> None:
    unserved = Unserved(job="a", count=1, reason="never-fits", detail="")
    hearing = Hearing(
        **dict.fromkeys(("connections", "workers", "coming", "events"), 1),
        **dict.fromkeys(("rejected", "dropped", "evicted", "gaps", "stale"), 0),
        connected=True,
        lag_seconds=0.1,
    )
    full = make.report(2, plan=make.plan(unserved=(unserved,)), saw=make.saw(hearing=hearing))
    world.write(make.report(1), full)
    samples = [sample for family in parse(web.get("/metrics").text) for sample in family.samples]
    made = {sample.name: set(sample.labels) for sample in samples}
    rows = re.findall(r"^\| `(autoscaler_\w+)` \| (.*?) \|", DOCS.read_text(), re.MULTILINE)
    assert {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows} == made
