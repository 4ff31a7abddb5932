"""The alerting rules and the dashboard speak of metrics that are served, with labels that these have."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from autoscaler_app.passes.act.counting import WHY_GONE
from autoscaler_app.passes.report import PHASES
from autoscaler_app.worker.telling.metrics import exposition
from scalelib.demand import UnservedReason
from tests.unit.autoscaler_app.worker.telling.everything import full

FOLDER = Path(__file__).parents[3] / "deploy" / "monitoring"
RULES = (FOLDER / "alerts.yml").read_text()
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())
DOCS = (FOLDER.parents[1] / "docs" / "runbook.md").read_text()

WORDS = {
    "reason": {*(reason.value for reason in UnservedReason), *WHY_GONE},
    "phase": set(PHASES),
    "why": {"rejected", "dropped", "evicted", "gaps", "stale"},
}
"""What a label may be compared with."""


def served() -> dict[str, set[str]]:
    text = exposition(full, "")[0].decode()
    return {sample.name: set(sample.labels) for family in parse(text) for sample in family.samples}


def expressions() -> list[tuple[str, str]]:
    """Every expression, and what is written with its labels."""
    of_rules = [
        (rule.partition("labels:")[0], rule)
        for rule in re.split(r"^ +- alert:", RULES, flags=re.MULTILINE)[1:]
    ]
    of_dashboard = [
        (target["expr"], target["legendFormat"])
        for panel in DASHBOARD["panels"]
        for target in panel["targets"]
    ]
    return of_rules + of_dashboard


@pytest.mark.parametrize(("expression", "written"), expressions())
def test_metrics_and_labels_exist(expression: str, written: str) -> None:
    metrics = served()
    names = set(re.findall(r"autoscaler_\w+", expression))
    assert names
    assert names <= metrics.keys()
    labels = {label for name in names for label in metrics[name]}
    used = set(re.findall(r"{{ ?(?:\$labels\.)?([a-z]\w*) ?}}", written))
    for group in re.findall(r"(?:by|on) \(([^)]*)\)", expression):
        used |= set(group.replace(" ", "").split(","))
    for label, values in re.findall(r'(\w+)=~?"([^"]*)"', expression):
        used.add(label)
        assert set(values.split("|")) <= WORDS[label]
    assert used <= labels


def test_every_metric_is_on_the_dashboard_or_in_a_rule_or_for_whoever_asks() -> None:
    said = " ".join(expression for expression, _ in expressions())
    unsaid = {name for name in served() if not re.search(rf"\b{name}\b", said)}
    parts_of_histograms = {name for name in unsaid if name.endswith(("_sum", "_count"))}
    assert unsaid - parts_of_histograms == {
        "autoscaler_queue_held",
        "autoscaler_bucket_price_per_hour",
        "autoscaler_passes_total",
        "autoscaler_events_total",
        "autoscaler_last_pass_failed",
        "autoscaler_failed_alarms_total",
    }


def test_panels_have_a_place_each() -> None:
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + i, at["y"] + j) for i in range(at["w"]) for j in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_every_alert_is_in_the_docs_with_what_to_do() -> None:
    alerts = set(re.findall(r"- alert: (\w+)", RULES))
    assert set(re.findall(r"^\| `(Autoscaler\w+)` \|", DOCS, re.MULTILINE)) == alerts
    assert RULES.count("action:") == RULES.count("summary:") == len(alerts)
    for rule in RULES.split("- alert: ")[1:]:
        name, severity = rule.split()[0], re.search(r"severity: (\w+)", rule)
        action = re.search(r'action: "?(.+?)"?$', rule, re.MULTILINE)
        assert severity is not None
        assert action is not None
        row = next(line for line in DOCS.splitlines() if line.startswith(f"| `{name}` |"))
        assert row.startswith(f"| `{name}` | {severity[1]} | ")
        assert row.endswith(f" | {action[1]} |"), f"{action[1]} in {row}"


@pytest.mark.by_hand
def test_promtool_finds_nothing_wrong() -> None:
    """Of Debian's package `prometheus`."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not here: install prometheus")
    rules = [promtool, "check", "rules", "--lint-fatal", str(FOLDER / "alerts.yml")]
    subprocess.run(rules, check=True, timeout=60)
    text = exposition(full, "")[0]
    subprocess.run([promtool, "check", "metrics"], input=text, check=True, timeout=60)
