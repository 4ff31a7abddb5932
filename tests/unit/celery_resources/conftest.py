"""Celery's own list of requests, for tests without a worker."""

from __future__ import annotations

from typing import Any

import pytest
from celery.worker import state as worker_state


@pytest.fixture
def celery_has(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Celery's own list of the requests that have not ended."""
    requests: dict[str, Any] = {}
    monkeypatch.setattr(worker_state, "requests", requests)
    return requests
