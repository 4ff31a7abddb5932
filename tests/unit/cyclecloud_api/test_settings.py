"""The keys of autoscale.json that this package reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cyclecloud_api.settings import connection_settings, rules
from cyclecloud_api.watch import Rules
from scalelib.errors import InvalidConfig

GOOD: dict[str, Any] = {"url": "https://x", "username": "u", "password": "p", "cluster_name": "c"}
ENVIRON = {
    "CYCLECLOUD_URL": "https://env",
    "CYCLECLOUD_USERNAME": "eu",
    "CYCLECLOUD_PASSWORD": "ep",
    "CYCLECLOUD_CLUSTER": "ec",
}


def test_the_configuration_comes_before_the_environment() -> None:
    assert connection_settings(GOOD, ENVIRON).url == "https://x"
    only_environ = connection_settings({}, ENVIRON)
    assert (only_environ.url, only_environ.username, only_environ.password, only_environ.cluster) == (
        "https://env",
        "eu",
        "ep",
        "ec",
    )


def test_certificates_are_verified_unless_switched_off() -> None:
    assert connection_settings(GOOD, {}).verify is True
    assert connection_settings({**GOOD, "ca_file": "/ca.pem"}, {}).verify == "/ca.pem"
    assert connection_settings({**GOOD, "verify_certificates": False}, {}).verify is False


def test_the_password_is_not_in_the_text_of_the_settings() -> None:
    assert "hunter2" not in repr(connection_settings({**GOOD, "password": "hunter2"}, {}))


def test_a_password_file_must_be_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("from-file\n")
    config = {**GOOD, "password": None, "password_file": str(path)}
    path.chmod(0o644)
    with pytest.raises(InvalidConfig, match=r"mode 0644.*chmod 600"):
        connection_settings(config, {})
    path.chmod(0o600)
    assert connection_settings(config, {}).password == "from-file"
    path.write_text("from-file\r\n", encoding="utf-8-sig")
    assert connection_settings(config, {}).password == "from-file", "as another editor saves it"
    path.write_text("")
    with pytest.raises(InvalidConfig, match="is empty"):
        connection_settings(config, {})
    with pytest.raises(InvalidConfig, match="readable text file is wanted"):
        connection_settings({**config, "password_file": str(tmp_path / "missing")}, {})


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"url": None}, "url is missing.*CYCLECLOUD_URL"),
        ({"url": 5}, "url is 5"),
        ({"cluster_name": " "}, "cluster_name is ' '"),
        ({"password": None}, "password is missing: set CYCLECLOUD_PASSWORD"),
        ({"password": 5}, "password is of type int"),
        ({"verify_certificates": "no"}, "verify_certificates is 'no': true or false"),
        ({"ca_file": 1}, "ca_file is 1"),
        ({"timeout": "soon"}, "timeout is 'soon'"),
        ({"timeout": float("inf")}, "timeout is inf"),
        ({"terminate_verb": "explode"}, "terminate_verb is 'explode': one of terminate, shutdown"),
        ({"prices": [1]}, r"prices is \[1\]"),
        ({"prices": {"A": "cheap"}}, r"prices\['A'\] is 'cheap'"),
        ({"prices": {"A": -1}}, r"prices\['A'\] is -1"),
        ({"prices": {"A": True}}, r"prices\['A'\] is True"),
    ],
)
def test_what_cannot_be_right_is_named_with_what_would_be(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidConfig, match=complaint):
        connection_settings({**GOOD, **changes}, {})


# -- the memory -----------------------------------------------------------------------------------------


def test_the_section_sets_the_numbers_of_the_memory() -> None:
    found = rules(
        {
            "boot_timeout": {"default": "600", "slow": 1200},
            "cyclecloud": {"capacity_backoff": 10, "spot_fallback": False, "max_unhealthy_share": 0.2},
        }
    )
    assert found.deadlines.boot.total_seconds() == 1200
    assert found.backoff.capacity.total_seconds() == 10
    assert found.backoff.trouble.total_seconds() == 60
    assert (found.spot_fallback, found.breaker.unhealthy_share) == (False, 0.2)
    assert rules({}) == Rules()


def test_a_boot_timeout_for_some_nodearrays_leaves_the_usual_one_for_the_rest() -> None:
    assert rules({"boot_timeout": {"quick": 60}}).deadlines.boot.total_seconds() == 1800


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"cyclecloud": 5}, "cyclecloud is 5: an object"),
        ({"cyclecloud": {"capacity_backof": 1}}, "did you mean 'capacity_backoff'"),
        ({"cyclecloud": {"zzz": 1}}, r"cyclecloud\.zzz is no setting: one of capacity_backoff"),
        ({"cyclecloud": {"leave_timeout": -1}}, r"cyclecloud\.leave_timeout is -1"),
        ({"cyclecloud": {"leave_timeout": True}}, r"cyclecloud\.leave_timeout is True"),
        ({"cyclecloud": {"spot_fallback": 1}}, r"cyclecloud\.spot_fallback is 1: true or false"),
        ({"cyclecloud": {"max_unhealthy_share": 0}}, r"cyclecloud\.max_unhealthy_share is 0"),
        ({"boot_timeout": "soon"}, "boot_timeout is 'soon'"),
    ],
)
def test_a_number_of_the_memory_that_cannot_be_right_is_named(config: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidConfig, match=complaint):
        rules(config)
