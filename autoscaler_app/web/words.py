"""Numbers as people say them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta

_STEPS = ((172800, 86400, "days"), (7200, 3600, "h"), (120, 60, "min"))


def duration(time: timedelta | float) -> str:
    """`4 s`, `3 min`, `5 h`, `2 days`; what is less than nothing (a clock was set back) is nothing."""
    seconds = max(time.total_seconds() if isinstance(time, timedelta) else time, 0.0)
    for least, unit, name in _STEPS:
        if seconds >= least:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s".replace(".0", "")


def money(amount: float) -> str:
    """A price, in the currency of the price list."""
    if amount == 0:
        return "0"
    return f"{amount:,.2f}" if amount >= 10 else f"{amount:.3f}"


def plural(count: int, noun: str) -> str:
    """`1 node`, `2 nodes`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def jobs(counts: Mapping[str, int]) -> str:
    """`2 × render, 1 × mix`."""
    return ", ".join(f"{count:,} × {name}" for name, count in counts.items())


def natural(name: str) -> tuple[tuple[int, int | str], ...]:
    """Sorts `node-9` before `node-10`."""
    return tuple(
        (0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", name) if part
    )
