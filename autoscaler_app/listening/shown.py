"""Text from elsewhere, as people may be shown it. Imports nothing: every command does this."""

from __future__ import annotations


def printable(text: str) -> str:
    """A text as it may be shown: what would move a cursor, end the line or turn it round is escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text)


def shortened(value: object, at_most: int = 80) -> str:
    """A value for an error or a log: ASCII, on one line, and not long."""
    try:
        shown = ascii(value[: at_most * 2] if isinstance(value, str) else value)
    except (RecursionError, ValueError):  # too deep; a number of more digits than Python writes
        shown = f"a {type(value).__name__} that cannot be shown"
    return shown if len(shown) <= at_most else f"{shown[: at_most - 1]}~"
