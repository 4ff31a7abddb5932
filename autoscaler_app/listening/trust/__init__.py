"""Whose word counts: with signing on, what is said in a node's name is signed by that node's key."""

from __future__ import annotations

from autoscaler_app.listening.trust.before import FROM_BEFORE
from autoscaler_app.listening.trust.judging import Trust
from autoscaler_app.listening.trust.opening import open_trust

__all__ = ["FROM_BEFORE", "Trust", "open_trust"]
