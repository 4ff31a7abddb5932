"""What can go wrong with the schedule's database. A wrong setting is an `InvalidConfig`."""

from __future__ import annotations

from scalelib.errors import ScalelibError


class MissingExtra(ScalelibError):
    """A package that this needs is not installed; the message says how to install it."""


class DatabaseUnusable(ScalelibError):
    """The database cannot be reached, does not let us in, or does not have the tables."""
