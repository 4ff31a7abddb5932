"""A node is asked for before beat sends a periodic task, and not much before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from celery import Celery

from autoscaler_app.passes.control import Control
from autoscaler_app.passes.one_pass import make_pass
from autoscaler_app.passes.report import Report
from autoscaler_app.settings import Autoscaler, Settings
from cyclecloud_emulator import settings
from cyclecloud_emulator.emulator import Emulator
from scalelib.history import KEPT
from scalelib.node import Node, NodeId, NodeState

APP = """
from celery import Celery
from celery.schedules import crontab
from celery_resources import with_resources

app = with_resources(Celery("nightly"))
app.conf.beat_schedule = {"nightly": {"task": "nightly.wide", "schedule": crontab(hour=3, minute=0)}}

@app.task(constraints={"ncpus": 4})
def wide(): ...
"""
THREE = datetime(2027, 5, 4, 3, 0, tzinfo=UTC)
PassAt = Callable[[timedelta], Report]


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    bare = settings.replace(settings.load(), nodes={"kind": "none", "boot_seconds": 3600.0})
    with Emulator.start(bare) as running:
        yield running


@pytest.fixture
def control(
    emulator: Emulator, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Control]:
    (tmp_path / "nightly.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    config = {
        "url": emulator.url,
        "username": emulator.user,
        "password": emulator.password,
        "cluster_name": emulator.cluster,
    }
    section = Autoscaler(ask_timeout=0.5, eta_margin=120.0, beat_schedule_app="nightly")
    with Celery(broker=valkey_url) as app:
        control = Control.open(app, Settings(config=config, autoscaler=section, folder=tmp_path))
        yield control
        control.close()


@pytest.fixture
def pass_at(control: Control) -> PassAt:
    """A pass, made so long before three o'clock by the clock of the control side."""

    def pass_at(before: timedelta) -> Report:
        control.now = lambda: THREE - before
        return make_pass(control)

    return pass_at


def test_a_node_that_fits_is_asked_for_when_the_time_is_near(pass_at: PassAt, emulator: Emulator) -> None:
    assert pass_at(timedelta(hours=2)).ok
    assert pass_at(timedelta(minutes=3)).ok
    assert emulator.nodes() == [], "too early"

    made = pass_at(timedelta(minutes=1, seconds=50))
    assert made.ok, made.error
    (node,) = emulator.nodes()
    assert node.size.vcpus >= 4

    assert pass_at(timedelta(minutes=1)).ok
    assert len(emulator.nodes()) == 1, "one is enough"


def test_how_long_nodes_took_to_boot_is_remembered_when_none_is_left(
    control: Control, pass_at: PassAt, emulator: Emulator
) -> None:
    """The cluster was empty since last week: nodes took ten minutes then, and will again."""
    was = NodeState.PREPARING
    node = Node(
        id=NodeId("old"), name="n", nodearray="worker", vm_size="", bucket_id="", state=was, status=was.value
    )
    last_week = THREE - timedelta(days=6)
    control.history.update(last_week, [node], (), ())
    ready = replace(node, state=NodeState.READY)
    control.history.update(last_week + timedelta(minutes=10), [ready], (), ())

    assert pass_at(timedelta(minutes=13)).ok
    assert emulator.nodes() == [], "too early"
    control.history.update(THREE + 2 * KEPT, [], (), ())
    assert control.history.boot_time() is None, "the history has forgotten it"
    assert pass_at(timedelta(minutes=11)).ok
    assert len(emulator.nodes()) == 1


def test_a_schedule_that_cannot_be_read_is_said_and_stops_no_pass(pass_at: PassAt, tmp_path: Path) -> None:
    (tmp_path / "nightly.py").write_text("import no_such_module")
    made = pass_at(timedelta(minutes=1))
    assert made.ok
    assert made.saw is not None
    assert [text for text in made.saw.warnings if "No module named 'no_such_module'" in text]
