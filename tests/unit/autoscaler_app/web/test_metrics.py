"""The page's server gives the metrics that the control worker gives: the last pass, and what was counted."""

from __future__ import annotations

from typing import Any

import httpx
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse

from autoscaler_app.memory.tally import Tally


def test_the_last_pass_and_what_was_counted(opened: Any, world: Any, make: Any) -> None:
    web = opened(tally=lambda: Tally(failed_passes=3, gone={"idle": 2}))
    world.write(make.report(41))
    answer = web.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    samples = [sample for family in parse(answer.text) for sample in family.samples]
    values = {(sample.name, *sample.labels.values()): sample.value for sample in samples}
    assert values["autoscaler_passes_total",] == 41
    assert values["autoscaler_failed_passes_total",] == 3
    assert values["autoscaler_nodes_gone_total", "idle"] == 2
    assert values["autoscaler_last_pass_age_seconds",] == 0.5
    assert values["autoscaler_paused",] == 0
    world.paused = True
    assert "autoscaler_paused 1.0" in web.get("/metrics").text


def test_a_scraper_that_prefers_openmetrics_gets_it(web: httpx.Client, world: Any, make: Any) -> None:
    world.write(make.report(1))
    answer = web.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert {family.name for family in parse_open(answer.text)} >= {"autoscaler_passes", "autoscaler_nodes"}
