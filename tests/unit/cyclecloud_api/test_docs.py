"""The page of this package is held to the code."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from cyclecloud_api import errors
from cyclecloud_api.__main__ import main
from cyclecloud_api.client import CycleCloudClient
from cyclecloud_api.settings import SECTION, ConnectionSettings

PAGE = (Path(__file__).parents[3] / "docs" / "cyclecloud_api.md").read_text()
CALLED_OTHERWISE = {"cluster": "cluster_name", "verify": "verify_certificates"}


@pytest.mark.parametrize("key", SECTION)
def test_every_setting_of_the_section_is_on_the_page(key: str) -> None:
    assert f"`cyclecloud.{key}`" in PAGE


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(ConnectionSettings)])
def test_every_setting_of_the_connection_is_on_the_page(name: str) -> None:
    assert f"`{CALLED_OTHERWISE.get(name, name)}`" in PAGE


@pytest.mark.parametrize(
    "name", [n for n in vars(CycleCloudClient) if not n.startswith("_") and n not in ("close", "url")]
)
def test_every_method_of_the_client_is_on_the_page(name: str) -> None:
    assert f"`{name}`" in PAGE or f"`{name}(" in PAGE


@pytest.mark.parametrize("name", [n for n, e in vars(errors).items() if isinstance(e, type)])
def test_every_error_is_on_the_page(name: str) -> None:
    assert f"`{name}`" in PAGE or name == "CycleCloudError"


@pytest.mark.parametrize("name", main.commands)
def test_every_command_is_on_the_page(name: str) -> None:
    assert f"`{name}`" in PAGE or f"cyclecloud_api {name}" in PAGE
