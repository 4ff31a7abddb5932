"""What is believed, empty at first."""

from __future__ import annotations

import pytest

from autoscaler_app.listening.activity import Activity


@pytest.fixture
def activity() -> Activity:
    return Activity()
