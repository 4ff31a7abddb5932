"""What was probably meant by a name that nothing has. The one place that guesses."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MOST = 3
"""Names in one sentence."""

_CUTOFF = 0.6
"""How alike two names are at least, of 1."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant; None: none is like it. Big and small letters are the same."""
    return next(iter(near(word, known, most=1)), None)


def near(word: str, known: Iterable[str], most: int = MOST) -> list[str]:
    """Those that may have been meant, the likeliest first."""
    by_lower = {each.lower(): each for each in sorted(known)}
    return [by_lower[each] for each in difflib.get_close_matches(word.lower(), by_lower, most, _CUTOFF)]


def meant(word: str, known: Iterable[str], otherwise: str) -> str:
    """`did you mean a or b?`, or else what is to be said where nothing is like it."""
    found = near(word, known)
    return f"did you mean {' or '.join(found)}?" if found else otherwise
