"""The labs of the contract suite, for longer runs."""

from __future__ import annotations

from tests.labs import make_lab, pytest_runtest_makereport

__all__ = ["make_lab", "pytest_runtest_makereport"]
