"""A control side whose clocks a test moves, and an emulator whose nodes boot at once and run nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from celery import Celery

from autoscaler_app.passes.control import Control
from autoscaler_app.settings import Autoscaler, Settings
from cyclecloud_emulator import settings
from cyclecloud_emulator.emulator import Emulator


class Hands:
    """The clocks of the machine: time passes on both, and only one of them is set."""

    def __init__(self) -> None:
        self.wall = datetime(2026, 5, 4, 12, tzinfo=UTC)
        self.monotonic = 500.0

    def run(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.monotonic += seconds

    def set(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    bare = settings.replace(settings.load(), nodes={"kind": "none", "boot_seconds": 0.0})
    with Emulator.start(bare) as running:
        yield running


@pytest.fixture
def control(emulator: Emulator, valkey_url: str, tmp_path: Path, hands: Hands) -> Iterator[Control]:
    config = {
        "url": emulator.url,
        "username": emulator.user,
        "password": emulator.password,
        "cluster_name": emulator.cluster,
        "idle_timeout": 300,
        "prices": {"Standard_F2s_v2": 0.1},
    }
    made = Settings(config=config, autoscaler=Autoscaler(ask_timeout=2.0), folder=tmp_path)
    with Celery(broker=valkey_url) as app:
        control = Control.open(app, made)
        control.now, control.monotonic = lambda: hands.wall, lambda: hands.monotonic
        yield control
        control.close()
