"""Tables as text: as wide as they need to be, and on a terminal no wider than that, with states in colour."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from typing import Any

import click

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


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    empty: str = "none",
    spare: Sequence[str] = (),
) -> str:
    """Rows under headings. What is not written to a terminal is neither cut nor coloured: others read it.

    A narrow terminal does without columns that are empty, then without those of `spare`, the first one first.
    """
    cells = [["" if cell is None else printable(str(cell)) for cell in row] for row in rows]
    if not cells:
        return empty
    is_shown = stdout().isatty()
    width = shutil.get_terminal_size().columns if is_shown else None
    colour = is_shown and "NO_COLOR" not in os.environ
    if width is None:
        return drawn(columns, cells, width=None, colour=colour)
    kept = wanted(columns, cells, spare, width)
    text = drawn(
        [columns[i] for i in kept], [[row[i] for i in kept] for row in cells], width=width, colour=colour
    )
    without = [name for i, name in enumerate(columns) if i not in kept and any(row[i] for row in cells)]
    return f"{text}\n(a wider terminal shows {', '.join(without)} too)" if without else text


def wanted(
    columns: Sequence[str], cells: Sequence[Sequence[str]], spare: Sequence[str], width: int
) -> list[int]:
    """Which columns are shown on so narrow a terminal."""
    natural = _natural(columns, cells)
    empty = [i for i in range(len(columns)) if not any(row[i] for row in cells)]
    kept = list(range(len(columns)))
    for i in (*empty, *(columns.index(name) for name in spare if name in columns)):
        if sum(natural[k] for k in kept) + GAP * (len(kept) - 1) <= width:
            break
        kept = [k for k in kept if k != i]
    return kept


def _natural(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> list[int]:
    return [max(len(name), *(len(row[i]) for row in cells)) for i, name in enumerate(columns)]


def drawn(columns: Sequence[str], cells: Sequence[Sequence[str]], *, width: int | None, colour: bool) -> str:
    """The table; no line is wider than `width`."""
    natural = _natural(columns, cells)
    widths = natural if width is None else fitted(natural, width)

    def line(words: Sequence[str], styles: Sequence[dict[str, Any]]) -> str:
        shown = [_cut(word, most).ljust(most) for word, most in zip(words, widths, strict=False)]
        shown[-1:] = [shown[-1].rstrip()] if shown else []
        return (
            (" " * GAP)
            .join(
                click.style(word, **style) if style else word
                for word, style in zip(shown, styles, strict=False)
            )
            .rstrip()
        )

    head = line([name.upper() for name in columns], [{"bold": True} if colour else {}] * len(columns))
    rows = (
        line(row, [_style(*each) if colour else {} for each in zip(columns, row, strict=True)])
        for row in cells
    )
    return "\n".join([head, *rows])


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
    """A sentence loses its end; a name its middle, for names differ at their ends."""
    if len(text) <= most:
        return text
    tail = 0 if text.count(" ") > 1 else (most - 1) // 2
    return text[: most - 1 - tail] + "…" + text[len(text) - tail :]


def _style(column: str, word: str) -> dict[str, Any]:
    known = word.lower()
    colour = next((colour for colour, begins in _COLOURS if known.startswith(begins)), None)
    return {"fg": colour} if colour and column in COLOURED else {}
