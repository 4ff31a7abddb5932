"""The guide names everything that a user can say."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from celery.worker.control import Panel

import celery_resources
from celery_resources.node import commands
from celery_resources.settings import Settings

GUIDE = (Path(__file__).parents[3] / "docs" / "celery_resources.md").read_text()


def test_every_setting_is_in_the_guide_and_no_other() -> None:
    docstrings = Path(celery_resources.__file__).with_name("settings.py").read_text()
    settings = set(re.findall(r'"""`(resource_[a-z_]+)`', docstrings))
    assert len(settings) == len(dataclasses.fields(Settings))
    assert settings == set(re.findall(r"^\| `(resource_[a-z_]+)` \|", GUIDE, re.MULTILINE))


def test_every_command_is_in_the_guide() -> None:
    ours = {name for name, function in Panel.data.items() if function.__module__ == commands.__name__}
    assert {"join", "fence", "resources"} <= ours
    missing = {name for name in ours if f"`{name}`" not in GUIDE and f"`{name}(" not in GUIDE}
    assert missing == set()


@pytest.mark.parametrize(
    "edge", ["A producer without the package", "`expires`", "`consumer_timeout`", "Pools", "Eager mode"]
)
def test_what_is_otherwise_at_the_edges_has_its_line(edge: str) -> None:
    section = GUIDE.partition("## At the edges\n")[2].partition("\n## ")[0]
    assert f"\n- **{edge}**" in section
