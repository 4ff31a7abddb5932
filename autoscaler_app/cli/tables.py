"""Tables as text: as wide as they need to be, and on a terminal no wider than that, with states in colour."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterable, Sequence

from autoscaler_app.cli.opening import stdout
from autoscaler_app.listening.shown import printable

GAP = 2
"""Spaces between two columns."""
LEAST = 6
"""A column is never made narrower than this: better to do without the last one."""
COLOURED = ("state", "fate")
"""Columns whose words have a colour."""
_COLOURS = (
    ("red", ("failed", "terminat", "delete", "unavailable")),
    (
        "yellow",
        ("acquir", "prepar", "start", "boot", "join", "drain", "leav", "on-hold", "unknown", "paused"),
    ),
    ("green", ("ready", "matched", "running")),
)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str = "none") -> str:
    """Rows under headings. What is not written to a terminal is neither cut nor coloured: others read it."""
    # Not as rich reads it: a name may have what looks like its markup.
    cells = [["" if cell is None else printable(str(cell)) for cell in row] for row in rows]
    if not cells:
        return empty
    is_shown = stdout().isatty()
    width = shutil.get_terminal_size().columns if is_shown else None
    return drawn(columns, cells, width=width, colour=is_shown and "NO_COLOR" not in os.environ)


def drawn(columns: Sequence[str], cells: Sequence[Sequence[str]], *, width: int | None, colour: bool) -> str:
    """The table; no line is wider than `width`."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    natural = [max(len(name), *(len(row[i]) for row in cells)) for i, name in enumerate(columns)]
    widths = natural if width is None else fitted(natural, width)
    made = Table(box=None, pad_edge=False, header_style="bold" if colour else "none")
    for name, most in zip(columns, widths, strict=False):
        made.add_column(_cut(name.upper(), most), no_wrap=True, min_width=most, max_width=most)
    for row in cells:
        made.add_row(
            *(
                Text(_cut(cell, most), style=_colour(cell) if colour and name in COLOURED else "")
                for cell, most, name in zip(row, widths, columns, strict=False)
            )
        )
    console = Console(
        file=io.StringIO(),
        width=sum(widths) + GAP * len(widths) + 2,
        force_terminal=colour,
        no_color=not colour,
    )
    console.print(made)
    out = console.file
    assert isinstance(out, io.StringIO)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def fitted(natural: Sequence[int], width: int) -> list[int]:
    """Widths that fit: the widest columns are shortened first; what finds no room is left out."""
    widths = list(natural)

    def over() -> int:
        return sum(widths) + GAP * (len(widths) - 1) - width

    while over() > 0 and widths:
        widest = max(widths)
        if widest <= LEAST:
            widths.pop()
            continue
        second = max([each for each in widths if each < widest], default=LEAST)
        alike = [i for i, each in enumerate(widths) if each == widest]
        cut = min(widest - max(second, LEAST), -(-over() // len(alike)))
        for i in alike:
            widths[i] -= min(max(1, cut), max(0, over()))
    return widths


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _colour(word: str) -> str:
    known = word.lower()
    return next((colour for colour, begins in _COLOURS if known.startswith(begins)), "")
