"""The docs say what the code does: every word that a plan can answer, and every setting, has its entry."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from scalelib import config, resources
from scalelib.constraints import PROPERTIES, parse
from scalelib.demand import NodeReason, UnservedReason
from scalelib.policy import Expander, Policy

DOCS = Path(__file__).parents[3] / "docs"
ENGINE = (DOCS / "scalelib.md").read_text()
CONSTRAINTS = (DOCS / "constraints.md").read_text()


@pytest.mark.parametrize("word", [each.value for each in (*NodeReason, *UnservedReason, *Expander)])
def test_every_word_of_a_plan_is_explained(word: str) -> None:
    assert f"`{word}`" in ENGINE or word == "least-cost"


@pytest.mark.parametrize("name", [*PROPERTIES, *resources.BUILT_IN])
def test_every_property_and_resource_is_explained(name: str) -> None:
    assert f"`{name}`" in CONSTRAINTS


def test_the_rules_in_the_docs_can_be_read() -> None:
    found = re.findall(r'"default_resources": (\[.*?\n {4,7}\])', CONSTRAINTS, re.DOTALL)
    assert len(found) == 2
    for text in found:
        assert Policy.from_config({"default_resources": json.loads(text)}).default_resources


def test_the_warm_pool_in_the_docs_can_be_read() -> None:
    (text,) = re.findall(r'"warm_pool": (\{.*?\n {4}\})', ENGINE, re.DOTALL)
    assert Policy.from_config({"warm_pool": json.loads(text)}).warm_pool.timetable


def test_the_constraints_in_the_table_can_be_read() -> None:
    rows = [line for line in CONSTRAINTS.splitlines() if line.startswith('| `"')]
    assert len(rows) >= 13
    written = [text for row in rows for text in re.findall(r'`("[^`]*": [^`]*)`', row.split(" | ")[0])]
    for text in written:
        if "..." in text or "{...}" in text:
            continue
        assert parse(json.loads("{" + text + "}"))


def test_every_key_of_the_policy_is_a_key_of_the_configuration() -> None:
    named = set(re.findall(r'"([a-z_]+)"', Path(config.__file__).with_name("policy.py").read_text()))
    read = {key for key in named if key in ("prices", "priorities", "warm_pool", "solver", "solver_seconds")}
    assert read <= set(config.KEYS)
