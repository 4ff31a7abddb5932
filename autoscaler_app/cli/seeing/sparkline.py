"""A curve in one line of text. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

BARS = "▁▂▃▄▅▆▇█"
NOTHING = " "
"""Where nothing is known."""


def sparkline(values: Sequence[float | None], width: int) -> str:
    """The values in their order, as bars between nothing and the largest of them; None is not known.

    More values than `width` are put together: a bar is as high as the highest of its values, so that no peak
    is lost.
    """
    bars = _together(values, width)
    most = max((value for value in bars if value is not None), default=0.0)
    return "".join(NOTHING if value is None else _bar(value, most) for value in bars)


def _bar(value: float, most: float) -> str:
    if value <= 0 or most <= 0:
        return BARS[0]
    return BARS[min(len(BARS) - 1, 1 + int(value / most * (len(BARS) - 1) - 1e-9))]


def _together(values: Sequence[float | None], width: int) -> list[float | None]:
    count = len(values)
    if count <= width:
        return list(values)
    edges = [place * count // width for place in range(width + 1)]
    parts = (values[first:last] for first, last in pairwise(edges))
    return [max((value for value in part if value is not None), default=None) for part in parts]
