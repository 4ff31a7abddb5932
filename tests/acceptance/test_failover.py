"""A control worker and a beat whose Redis master is killed: its replica leads, and they live on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo import site as sites
from demo.site import Site, Wishes
from tests.sentinel import Group


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Group]:
    made = Group(tmp_path / "group")
    yield made
    made.close()


@pytest.fixture
def wishes() -> Wishes:
    return Wishes(interval=1.0, autoscaler={"lease_seconds": 6})


@pytest.fixture
def broker(group: Group, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A URL says nothing of the master's name, so there are settings that do."""
    options = json.dumps(group.options)
    (tmp_path / "with_master.py").write_text(
        f"from celeryconfig import *\nbroker_transport_options = {options}\n"
    )
    monkeypatch.setenv("CELERY_CONFIG_MODULE", "with_master")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(sites, "refuse_if_in_use", lambda url: None)
    return group.url


@pytest.mark.timeout(120)
def test_passes_go_on_in_the_same_processes(
    site: Site, group: Group, wait_until: Callable[..., object]
) -> None:
    control, beat = site.start_control(), site.start_beat()
    wait_until(lambda: any(made.ok for made in site.reports()), what="a pass has been made")
    group.kill_master()
    before = site.reports()[0].number
    wait_until(
        lambda: any(made.ok for made in site.reports() if made.number > before),
        seconds=60,
        what="a pass was made with the new master",
    )
    assert (control.exit_code, beat.exit_code) == (None, None)
