"""Instants as the state file has them."""

from __future__ import annotations

from datetime import UTC, datetime


def to_text(at: datetime) -> str:
    """An instant as text that sorts by time."""
    return at.astimezone(UTC).isoformat()


def from_text(text: str) -> datetime:
    """What `to_text` made of one."""
    return datetime.fromisoformat(text)
