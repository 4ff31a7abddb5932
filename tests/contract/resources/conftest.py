"""A lab: a broker with real worker processes as nodes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.labs import Lab, make_lab, pytest_runtest_makereport

__all__ = ["lab", "make_lab", "pytest_runtest_makereport"]


@pytest.fixture
def lab(broker_url: str, make_lab: Callable[..., Lab]) -> Lab:
    """A lab on Redis, and one on RabbitMQ."""
    return make_lab(broker_url)
