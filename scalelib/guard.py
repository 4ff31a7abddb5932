"""What stands in the way of something for good reason, and what ends it (docs/guards.md)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Guard:
    """A hold, a back-off, a set-aside. None is for ever. The texts are for people."""

    name: str
    stops: str
    """What it holds back, and why."""
    ended_by: str
    """The evidence that ends it."""
    at_the_latest: str
    """When it ends without evidence, or which person ends it. Time alone shows no node to be empty."""
    meanwhile: str
    """Where it is seen while it stands."""
