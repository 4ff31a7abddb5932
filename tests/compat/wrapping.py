"""A pytest plugin for Celery's own suite: every test app wrapped, or none, and what became of each test.

`COMPAT_WRAP` is 1 where apps are to be wrapped, `COMPAT_OUTCOMES` names the file to write: a JSON object of
outcomes by test, and of how many apps were wrapped and how many workers had a gate.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import celery.contrib.pytest
import celery.contrib.testing.app
import pytest
from celery.contrib.testing.worker import test_worker_started

WRAPS = os.environ["COMPAT_WRAP"] == "1"
RESOURCES = "ncpus=4,memgb=8"
WORST = ("failed", "xpassed", "passed", "xfailed", "skipped")
"""Of the parts of one test (its setup, its subtests) the worst tells."""

_outcomes: dict[str, str] = {}
_counts = {"apps": 0, "gates": 0}

if WRAPS:
    from celery_resources import with_resources

    os.environ["CELERY_RESOURCES"] = RESOURCES
    _make = celery.contrib.testing.app.TestApp

    def TestApp(*args: Any, **kwargs: Any) -> Any:
        """As Celery's own, wrapped."""
        _counts["apps"] += 1
        return with_resources(_make(*args, **kwargs))

    celery.contrib.testing.app.TestApp = celery.contrib.pytest.TestApp = TestApp


@test_worker_started.connect(weak=False)
def _started(sender: Any = None, consumer: Any = None, **kwargs: Any) -> None:
    _counts["gates"] += getattr(consumer, "resource_gate", None) is not None


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """The worst of what was told of it."""
    if report.when != "call" and report.outcome == "passed":
        return
    outcome = str(report.outcome)
    if hasattr(report, "wasxfail"):
        outcome = "xfailed" if report.skipped else "xpassed"
    told = [outcome, _outcomes.get(report.nodeid, outcome)]
    _outcomes[report.nodeid] = min(told, key=WORST.index)


def pytest_sessionfinish() -> None:
    """Written at the end only: a run that was cut off has no outcomes."""
    Path(os.environ["COMPAT_OUTCOMES"]).write_text(json.dumps({"outcomes": _outcomes, **_counts}))
